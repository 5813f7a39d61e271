/*
 * call_answer: the answer's side of a call (call.c): its head, its framing, and whether all is as expected.
 */
#ifndef LOAD_CALL_ANSWER_H
#define LOAD_CALL_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include "call.h"

/* The simulated server repeats this field of the request in its answer. */
#define TAG_FIELD "X-Load-Tag"

/* Ready for the answer to the request just sent. */
void answer_expect(struct call *c);
/* Takes received bytes. Returns FAULT_NONE, or what is wrong with them. Sets *ret_done when the answer is complete. */
enum fault answer_feed(struct call *c, const char *p, size_t n, bool *ret_done);
/* The peer has closed. Sets *ret_done when the answer is complete by that. */
enum fault answer_eof(struct call *c, bool clean, bool *ret_done);

#endif
