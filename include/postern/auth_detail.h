/*
 * auth_detail: what a directory said about credentials, for the operator alone. The rows are in auth_details.def.
 */
#ifndef POSTERN_AUTH_DETAIL_H
#define POSTERN_AUTH_DETAIL_H

enum auth_detail {
#define AUTH_DETAIL(id, name, doc) AUTH_DETAIL_##id,
#include <postern/auth_details.def>
#undef AUTH_DETAIL
    AUTH_DETAIL_COUNT
};

const char *auth_detail_name(enum auth_detail d);
const char *auth_detail_doc(enum auth_detail d);

#endif
