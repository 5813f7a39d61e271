/*
 * status: what runs now, for people and for programs. Main thread.
 */
#ifndef POSTERN_STATUS_INT_H
#define POSTERN_STATUS_INT_H

#include <stdio.h>
#include <postern/engine.h>

struct status_now {
    struct engine *engine;
    uint64_t uptime_s;
    bool draining;
};
void status_json(const struct status_now *now, FILE *to);
/* Devices of ActiveSync, most recent first; `user` n == 0: all. */
void status_devices_table(struct str user, FILE *to);
void status_devices_json(struct str user, FILE *to);
/* Channels of Outlook Anywhere that are open now. */
void status_channels_table(struct engine *e, FILE *to);
void status_channels_json(struct engine *e, FILE *to);
void status_table(const struct status_now *now, bool colour, FILE *to);
/* Locked and failing accounts and addresses; `name` n 0: all. */
void status_accounts(struct engine *e, struct str name, bool json, FILE *to);
/* Servers of directories. */
void status_directories_table(struct engine *e, bool colour, FILE *to);
void status_directories_json(struct engine *e, FILE *to);
/* "4d", "3h", "12m", "40s": ages are read at a glance. */
const char *status_span(uint64_t ms, char out[24]);
/* At least `width` wide, and a blank. Names come from clients, words from servers: a terminal must not obey them. */
void status_printable(FILE *to, struct str s, int width);
enum shade { GOOD, DOUBTFUL, BAD };
void status_shaded(FILE *to, bool colour, enum shade s, const char *text);
/* `s` as a JSON string, with its quotes. */
void json_string(struct str s, FILE *to);

#endif
