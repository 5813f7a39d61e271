/*
 * What a server answers to a trial's hello: taking it ends, however it is cut, and what was seen of it lies inside it.
 */
#include <stdlib.h>
#include "trial_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum trial_answer_state state = ANSWER_MORE;
    struct trial_certificate c;
    struct trial_answer a;
    size_t step = size > 0 ? (size_t)data[0] % 64 + 1 : 1;

    trial_answer_init(&a);
    for (size_t i = 0; i < size && state == ANSWER_MORE; i += step)
        state = trial_answer_feed(&a, data + i, size - i < step ? size - i : step);
    if ((state == ANSWER_BAD) != (a.why != NULL))
        abort();
    if (a.certificates.p != NULL) {
        if (a.certificates_at + a.certificates.n > a.n)
            abort();
        if (trial_certificate_read_list(a.certificates, &c) == 0)
            trial_certificate_free(&c);
    }
    trial_answer_free(&a);
    return 0;
}
