#include <postern/auth_detail.h>

static const struct {
    const char *name, *doc;
} rows[] = {
#define AUTH_DETAIL(id, name, doc) {name, doc},
#include <postern/auth_details.def>
#undef AUTH_DETAIL
};

const char *auth_detail_name(enum auth_detail d)
{
    return d < AUTH_DETAIL_COUNT ? rows[d].name : "unknown";
}

const char *auth_detail_doc(enum auth_detail d)
{
    return d < AUTH_DETAIL_COUNT ? rows[d].doc : "";
}
