/* The target of rpcproxy.dll: name and port are all of it, and written again they are the same. */
#include "fuzz_http.h"

#include <stdio.h>
#include <postern/rpc_target.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rpc_target t, again;
    char text[RPC_NAME_MAX + 16];
    int n;

    if (!rpc_target_parse((struct str){(const char *)data, size}, &t))
        return 0;
    FUZZ_CHECK(t.name.n > 0 && t.name.n <= RPC_NAME_MAX && t.port > 0);
    FUZZ_CHECK((t.mailbox.p == NULL) == (t.domain.p == NULL));
    for (size_t i = 0; i < t.name.n; i++)
        FUZZ_CHECK((uint8_t)t.name.p[i] > 0x20 && (uint8_t)t.name.p[i] < 0x7f &&
                   strchr("/?&#%\\", t.name.p[i]) == NULL);
    n = snprintf(text, sizeof(text), "%.*s:%u", STR_ARG(t.name), t.port);
    FUZZ_CHECK(rpc_target_parse((struct str){text, (size_t)n}, &again) && again.port == t.port &&
               str_eq(again.name, t.name));
    return 0;
}
