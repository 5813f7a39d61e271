/*
 * filters_int: the filters by name, for the table only.
 */
#ifndef POSTERN_FILTERS_INT_H
#define POSTERN_FILTERS_INT_H

#include <postern/filter.h>

#define FILTER(name) extern const struct filter filter_##name;
#include <postern/filters.def>
#undef FILTER

#endif
