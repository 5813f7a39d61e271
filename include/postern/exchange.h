/*
 * exchange: what this room compiles from a configuration, once, read-only afterwards.
 */
#ifndef POSTERN_EXCHANGE_H
#define POSTERN_EXCHANGE_H

#include <postern/conf.h>

struct device_rules;

/* Attaches it to `s`; findings for what cannot be used. Before the snapshot is shared. 0 or -1. */
int exchange_prepare(struct snapshot *s, struct conf_findings *f);
/* The rules of a service; NULL: none. Any thread. */
const struct device_rules *exchange_device_rules(const struct snapshot *s, const struct conf_service *v);

#endif
