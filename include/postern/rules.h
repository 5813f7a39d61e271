/*
 * rules: how often each rule has matched, for the metrics. Counts belong to the process and go by name, so that a reload
 * keeps them. Any thread.
 */
#ifndef POSTERN_RULES_H
#define POSTERN_RULES_H

#include <postern/conf.h>

/* Finds the counter of each rule of `s` and attaches the lot. 0, or -1 and a finding. Before the snapshot is shared. */
int rules_prepare(struct snapshot *s, struct conf_findings *f);
/* Each rule that was ever configured, with what it refused and what it only observed. */
void rules_each(void (*each)(void *ctx, const char *name, uint64_t denied, uint64_t observed), void *ctx);

#endif
