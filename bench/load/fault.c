#include "fault.h"

static const struct {
    const char *name, *text;
} faults[FAULT_COUNT] = {{"none", "none"},
#define ROW(name, text) {#name, text},
                         FAULTS(ROW)
#undef ROW
};

const char *fault_name(enum fault f)
{
    return faults[f].name;
}

const char *fault_text(enum fault f)
{
    return faults[f].text;
}
