/* The PROXY header: what is taken lies within the input, has one reading however much follows, and needs all of its bytes. */
#include "fuzz_http.h"

#include <netinet/in.h>
#include <postern/proxy_protocol.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sockaddr_storage a = {0}, b = {0};
    size_t used = 0, again = 0;

    if (proxy_protocol_parse((const char *)data, size, &used, &a) != PROXY_PROTOCOL_OK)
        return 0;
    FUZZ_CHECK(used > 0 && used <= size && used <= PROXY_PROTOCOL_MAX);
    FUZZ_CHECK(a.ss_family == AF_UNSPEC || a.ss_family == AF_INET || a.ss_family == AF_INET6);
    FUZZ_CHECK(proxy_protocol_parse((const char *)data, used, &again, &b) == PROXY_PROTOCOL_OK &&
               again == used);
    FUZZ_CHECK(a.ss_family == b.ss_family);
    FUZZ_CHECK(proxy_protocol_parse((const char *)data, used - 1, &again, &b) != PROXY_PROTOCOL_OK);
    return 0;
}
