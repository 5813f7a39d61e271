#include <postern/filter.h>
#include <postern/filters.h>

#include "filters_int.h"

static const struct filter *const filters[] = {
#define FILTER(name) &filter_##name,
#include <postern/filters.def>
#undef FILTER
};

void filters_register(void)
{
    filter_table_set(filters, sizeof(filters) / sizeof(*filters));
}
