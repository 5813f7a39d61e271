/*
 * OpenSSL's error queue. It belongs to the thread, so to all connections of a worker: what one connection leaves in it
 * would be taken for the failure of another.
 */
#include <stdio.h>
#include <string.h>
#include <openssl/err.h>
#include <postern/log.h>
#include "tls_int.h"

void tls_errors_expect_none(const char *where)
{
    char text[200];

    if (ERR_peek_error() == 0)
        return;
    tls_errors_take(text, sizeof(text));
    log_event(LOG_EV_TLS_QUEUE_NOT_EMPTY, LF_STR("where", str_of(where)), LF_STR("left", str_of(text)));
}

void tls_errors_take(char *out, size_t size)
{
    unsigned long e;
    bool said = false;

    out[0] = '\0';
    while ((e = ERR_get_error()) != 0) {
        const char *reason = ERR_reason_error_string(e);

        if (said || reason == NULL)
            continue;
        snprintf(out, size, "%s", reason);
        said = true;
    }
    if (!said)
        snprintf(out, size, "unknown TLS error");
}

void tls_errors_drop(void)
{
    ERR_clear_error();
}
