/*
 * Whatever a profile says, it is taken or refused with a reason, and what is taken can be written as a hello.
 */
#include <stdlib.h>
#include "trial_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct conf_findings *f = conf_findings_new();
    struct conf_memory *m = conf_memory_new();
    struct trial_hello hello;
    struct trial_device *d;

    if (f != NULL && m != NULL) {
        d = trial_device_read(m, "fuzz.yaml", (struct str){(const char *)data, size}, f);
        if ((d == NULL) != (conf_findings_count(f, CONF_ERROR) > 0))
            abort();
        if (d != NULL)
            trial_hello_write(d, "mail.example.com", &hello);
    }
    conf_memory_free(m);
    conf_findings_free(f);
    return 0;
}
