/*
 * filters: the table of all filters, in the order of filters.def. Given to the core by main (filters_register).
 */
#ifndef POSTERN_FILTERS_H
#define POSTERN_FILTERS_H

void filters_register(void);

#endif
