/*
 * report: what a run gave, for people (table), for programs (JSON) and for both (HTML with charts, the JSON inside).
 */
#ifndef LOAD_REPORT_H
#define LOAD_REPORT_H

#include <stdio.h>
#include "run.h"

void report_table(const struct run *r, FILE *to);
void report_json(const struct run *r, FILE *to);
/* Everything in one file that needs no network. */
void report_html(const struct run *r, FILE *to);
/* What makes the figures doubtful, each as a sentence: the generator was the limit, it was late, it was interrupted. */
void report_doubts(const struct run *r, void (*each)(const char *text, void *arg), void *arg);
/* Nanoseconds in a unit that suits, at most nine characters. */
const char *report_time(uint64_t ns, char to[16]);
/* A text of the report's data, quoted for JSON and harmless inside a script element. */
void report_string(const char *text, FILE *to);

#endif
