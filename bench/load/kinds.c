#include "kinds.h"

const struct kind *const kinds[] = {
    &kind_request,        &kind_download, &kind_upload, &kind_handshake, &kind_idle, &kind_owa,
    &kind_activesync,     &kind_ping,     &kind_rpc,    &kind_mapi,      &kind_ews,  &kind_autodiscover,
    &kind_wrong_password, NULL,
};
