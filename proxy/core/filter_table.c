#include <postern/filter.h>

static const struct filter *const *filter_rows;
static unsigned filter_rows_n;

void filter_table_set(const struct filter *const *table, unsigned n)
{
    filter_rows = table;
    filter_rows_n = n;
}

unsigned filter_table_get(const struct filter *const **ret_table)
{
    *ret_table = filter_rows;
    return filter_rows_n;
}

const char *phase_name(enum phase p)
{
    static const char *const names[] = {
#define PHASE(id, name, doc) name,
#include <postern/phases.def>
#undef PHASE
    };
    return p < PHASE_COUNT ? names[p] : "reading";
}
