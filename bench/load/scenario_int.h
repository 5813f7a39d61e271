/* scenario, inside: what its files share while one is read. Findings carry the place in the scenario. */
#ifndef LOAD_SCENARIO_INT_H
#define LOAD_SCENARIO_INT_H

#include "options.h"
#include "scenario.h"

#define REFUSE(r, n, ...) conf_finding_add((r)->findings, CONF_ERROR, (n)->mark, __VA_ARGS__)

/* scenario_net.c: where to connect */
void scenario_resolve(struct option_reader *r, struct scenario *s, const struct conf_node *at,
                      const char *target);
/* scenario_sources.c: what `map` says of them, in `text`. */
void scenario_sources(struct option_reader *r, const struct scenario *s, const struct conf_node *map,
                      const char *text, struct sources *ret);

/* scenario_users.c: reads s->credentials */
void scenario_credentials(struct option_reader *r, struct scenario *s, const struct conf_node *at);

#endif
