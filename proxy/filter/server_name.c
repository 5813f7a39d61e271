/*
 * One certificate, one virtual server: a request that names another host than its TLS handshake did is misdirected
 * (RFC 9110 7.4, 15.5.20). Clients without SNI, and handshakes by address, are judged by Host alone.
 */
#include <postern/txn.h>

#include "filters_int.h"

static enum filter_result server_name_check(struct txn *t)
{
    struct str sni = str_of(stream_sni(&t->session->stream));

    if (sni.n > 0 && sni.p[sni.n - 1] == '.')
        sni.n--;
    if (sni.n == 0 || str_eq_nocase(sni, t->request.host))
        return FILTER_NEXT;
    t->close_client = true;
    txn_refuse(t, 421, REASON_HOST_NOT_SNI);
    return FILTER_DONE;
}

const struct filter filter_server_name = {
    .name = "server_name",
    .doc = "Host fits the server name of the TLS handshake",
    .on = {[PHASE_HEAD] = server_name_check},
};
