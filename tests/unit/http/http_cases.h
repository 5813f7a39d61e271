/*
 * What the codec's tests share: a message with its memory, and a transcript of the events that some octets
 * give, so that the same octets cut differently can be compared.
 */
#ifndef HTTP_CASES_H
#define HTTP_CASES_H

#include <stdarg.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include <postern/h1.h>

#define TRANSCRIPT_MAX (512u << 10)

struct transcript {
    char text[TRANSCRIPT_MAX];
    size_t n;
    size_t body; /* octets of body seen in the present message */
    enum reason why;
    bool bad, bad_was_body, ended;
    unsigned messages;
    size_t used; /* octets taken by complete messages */
    enum body_framing last_framing;
    bool last_keep_alive;
};

struct rig {
    struct pool chunks;
    struct arena arena;
    struct message message;
    struct h1 codec;
    struct h1_limits limits;
    bool response;
    enum method method; /* that responses answer */
};

void rig_init(struct rig *r, bool response);
void rig_begin(struct rig *r);
void rig_end(struct rig *r);
/* Feeds all of it in pieces of what `cut` says (0: the rest), message after message; `eof` closes behind it.
 */
void rig_run(struct rig *r, struct transcript *t, const char *p, size_t n,
             size_t (*cut)(size_t at, void *ctx), void *ctx, bool eof);
/* Whole, octet by octet, and cut at random: the transcripts must be equal. `ret` gets the first. */
void rig_run_all(struct rig *r, struct transcript *ret, const char *p, size_t n, bool eof);

/* One test for each row of a table whose first member is its name; all of them run by cases_run. */
void case_add(const char *name, const void *row, CMUnitTestFunction test);
void cases_add(const void *rows, size_t n, size_t size, CMUnitTestFunction test);
int cases_run(const char *group);

#endif
