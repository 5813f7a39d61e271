/*
 * What a server takes, from a file: the policies of others, and what one may think of.
 */
#include <stdio.h>
#include <stdlib.h>
#include "trial_int.h"

#define AT(member) offsetof(struct trial_policy, member)
static const struct trial_field fields[] = {
    {"", "name", TYPE_TEXT, AT(name), true, 0, NULL, 0},
    {"", "title", TYPE_TEXT, AT(title), true, 0, NULL, 0},
    {"", "cost", TYPE_TEXT, AT(cost), false, 0, NULL, 0},
    {"", "min", TYPE_CODE, AT(min), true, TRIAL_VERSIONS, NULL, 0},
    {"", "max", TYPE_CODE, AT(max), true, TRIAL_VERSIONS, NULL, 0},
    {"", "suites", TYPE_CODES, AT(suites), true, TRIAL_SUITES, NULL, 0},
    {"", "groups", TYPE_CODES, AT(groups), true, TRIAL_GROUPS, NULL, 0},
    {"", "signature_algorithms", TYPE_CODES, AT(signatures), true, TRIAL_SIGNATURES, NULL, 0},
    {"", "server_order", TYPE_BOOL, AT(server_order), true, 0, NULL, 0},
    {"", "prioritize_chacha", TYPE_BOOL, AT(prioritize_chacha), false, 0, NULL, 0},
    {"", "one_certificate", TYPE_BOOL, AT(one_certificate), false, 0, NULL, 0},
    {"", "dh_bits", TYPE_NUMBER, AT(dh_bits), false, 0, NULL, 16384},
    {"", "no_dh", TYPE_BOOL, AT(no_dh), false, 0, NULL, 0},
    {"", "alpn", TYPE_TEXTS, AT(alpn), false, 0, NULL, 0},
};
#undef AT

static int load_file(struct trial_policy *ret, struct conf_memory *m, const char *path,
                     struct conf_findings *f)
{
    size_t errors = conf_findings_count(f, CONF_ERROR);
    struct str kept = conf_copy(m, str_of(path)), bytes;
    struct conf_node *root;
    const char *why;

    if (kept.p == NULL || conf_slurp(m, path, &bytes, &why) != 0) {
        conf_finding_add(f, CONF_ERROR, (struct conf_mark){kept.p, 0, 0}, "%s",
                         kept.p ? why : "out of memory");
        return -1;
    }
    root = conf_tree_read(m, kept.p, bytes, f);
    if (root == NULL)
        return -1;
    trial_fields_read(fields, sizeof(fields) / sizeof(fields[0]), m, root, ret, f);
    return conf_findings_count(f, CONF_ERROR) == errors ? 0 : -1;
}

int trial_policy_load(struct trial_policy *ret, struct conf_memory *m, const char *name, const char *folder,
                      struct conf_findings *f)
{
    char path[1024];

    memset(ret, 0, sizeof(*ret));
    for (int i = 0; i < CONF_TLS_COUNT; i++) {
        if (strcmp(conf_tls_name((enum conf_tls)i), name) == 0)
            return trial_policy_of_profile(ret, (enum conf_tls)i);
    }
    if (strchr(name, '/') != NULL || str_ends_nocase(str_of(name), STR(".yaml")))
        snprintf(path, sizeof(path), "%s", name);
    else
        snprintf(path, sizeof(path), "%s/%s.yaml", folder, name);
    return load_file(ret, m, path, f);
}
