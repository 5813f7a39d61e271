/*
 * reason: why a connection or request ended. The rows are in reasons.def.
 */
#ifndef POSTERN_REASON_H
#define POSTERN_REASON_H

enum reason {
#define REASON(id, name, doc) REASON_##id,
#include <postern/reasons.def>
#undef REASON
    REASON_COUNT
};

const char *reason_name(enum reason r);
const char *reason_doc(enum reason r);

#endif
