/*
 * Whatever a client sends to `postern trial record` is a profile, no hello, or not all of it yet.
 */
#include <stdio.h>
#include <stdlib.h>
#include "trial_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = NULL;
    size_t n = 0;
    FILE *to = open_memstream(&text, &n);

    if (to == NULL)
        return 0;
    trial_hello_record(data, size, "fuzz", to);
    fclose(to);
    free(text);
    return 0;
}
