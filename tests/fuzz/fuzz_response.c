/*
 * Answers as a backend may send them, read as answers to GET and to HEAD, cut in three ways with one result.
 */
#include "fuzz_http.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_all_cuts(true, METHOD_GET, data, size);
    fuzz_all_cuts(true, METHOD_HEAD, data, size);
    return 0;
}
