/* kinds: what the files that define kinds of clients share. */
#ifndef LOAD_KINDS_H
#define LOAD_KINDS_H

#include <stdio.h>
#include <string.h>
#include "load.h"

extern const struct kind kind_request, kind_download, kind_upload, kind_handshake, kind_idle,
    kind_wrong_password;
extern const struct kind kind_owa, kind_autodiscover, kind_activesync, kind_ping, kind_rpc, kind_mapi,
    kind_ews;

/* "?" or "&", whichever a query that is added to `path` begins with. */
static inline const char *kinds_join(const char *path)
{
    return strchr(path, '?') ? "&" : "?";
}

#endif
