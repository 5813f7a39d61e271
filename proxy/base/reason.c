#include <postern/reason.h>

static const struct {
    const char *name, *doc;
} rows[] = {
#define REASON(id, name, doc) {name, doc},
#include <postern/reasons.def>
#undef REASON
};

const char *reason_name(enum reason r)
{
    return r < REASON_COUNT ? rows[r].name : "unknown";
}

const char *reason_doc(enum reason r)
{
    return r < REASON_COUNT ? rows[r].doc : "";
}
