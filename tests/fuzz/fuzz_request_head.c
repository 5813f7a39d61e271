/*
 * Requests as a client may send them: heads, bodies and what is pipelined behind, cut in three ways with one
 * result.
 */
#include "fuzz_http.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_all_cuts(false, METHOD_UNKNOWN, data, size);
    return 0;
}
