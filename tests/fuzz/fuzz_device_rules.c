/* The file of device rules: either rules or findings, never both or neither; a verdict is of a line that is there, and the
 * same each time; the rules do not depend on the text that they were read from. */
#include "fuzz_http.h"

#include <postern/device_rules.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool in_group(void *ctx, struct str group)
{
    return device_glob(group, STR("CN=Staff,DC=corp"));
}

static void check(const struct device_rules *r, const struct device_facts *facts, unsigned lines)
{
    struct device_verdict v = device_rules_judge(r, facts), again = device_rules_judge(r, facts);

    FUZZ_CHECK(v.action == again.action && v.status == again.status && v.line == again.line &&
               v.observed == again.observed);
    FUZZ_CHECK(v.line <= lines && v.observed <= lines);
    FUZZ_CHECK(v.action == DEVICE_ALLOW || (v.action == DEVICE_DENY && v.line > 0 &&
                                            (v.status == 403 || v.status == 449 || v.status == 456)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    struct conf_findings *f = conf_findings_new();
    struct device_facts facts = {.device_id = STR("ApplDX3"),
                                 .device_type = STR("iPhone"),
                                 .user_agent = STR("Apple-iPhone12C1/2006.70"),
                                 .user = STR("alice"),
                                 .command = STR("Sync"),
                                 .version = 141,
                                 .in_group = in_group};
    const struct device_facts nothing = {.version = 0};
    struct device_rules *r;
    unsigned lines = 1;

    FUZZ_CHECK(f != NULL && text != NULL);
    memcpy(text, data, size);
    for (size_t i = 0; i < size; i++)
        lines += text[i] == '\n';
    r = device_rules_parse("fuzz", (struct str){text, size}, NULL, f);
    memset(text, 'x', size);
    free(text);
    FUZZ_CHECK((r != NULL) == (conf_findings_count(f, CONF_ERROR) == 0));
    if (r != NULL) {
        check(r, &facts, lines);
        check(r, &nothing, lines);
    }
    device_rules_free(r);
    conf_findings_free(f);
    return 0;
}
