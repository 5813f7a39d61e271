/* Whatever the file says, reading it ends, leaks nothing, and a refusal has a reason. Files that it names are
 * not opened. */
#include <postern/conf.h>

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct conf_findings *f = conf_findings_new();
    if (!f)
        return 0;
    struct snapshot *s = conf_load_memory("fuzz.yaml", (struct str){(const char *)data, n}, f);
    if (!s != (conf_findings_count(f, CONF_ERROR) != 0))
        abort();
    snapshot_release(s);
    conf_findings_free(f);
    return 0;
}
