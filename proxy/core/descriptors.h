#ifndef POSTERN_DESCRIPTORS_H
#define POSTERN_DESCRIPTORS_H

#include <postern/backend.h>

/* Of the process; atomic. */
struct descriptor_count {
    unsigned max, used;
};

/* Of one worker. */
struct descriptors {
    struct descriptor_count *all;
    struct backend_pool
        *pools; /* all on this worker, of any configuration: whose idle connections may be closed */
};

/* Any thread. */
void descriptors_set(struct descriptor_count *d, unsigned max);
/* One for a new connection, an idle one's if there is no other; false: none. `d` NULL: not counted. */
bool descriptors_take(struct descriptors *d);
void descriptors_give(struct descriptors *d);
/* Few are left: nothing should be held for later. */
bool descriptors_scarce(const struct descriptors *d);
void descriptors_part(struct backend_pool *p);

#endif
