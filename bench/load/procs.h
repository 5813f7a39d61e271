/*
 * procs: what processes cost, from /proc: the CPU time of a process and all its descendants, and their memory (PSS:
 * a page that several share counts in part for each).
 */
#ifndef LOAD_PROCS_H
#define LOAD_PROCS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define PROC_GROUPS_MAX 8
#define PROC_TREE_MAX 256

struct proc_group {
    char name[32];
    pid_t root;
    pid_t pids[PROC_TREE_MAX];
    unsigned n;
};

/* "NAME=PID", or "PID" alone, which is then called as its program is; false: it is neither, or there is no such process. */
bool procs_parse(const char *text, struct proc_group *ret);
/* Looks again which processes descend from the root. */
void procs_refresh(struct proc_group *g);
/* Seconds of CPU, user and system, since their start. */
double procs_cpu(const struct proc_group *g);
/* Walks the page tables, which takes long in large processes. */
double procs_pss_kb(const struct proc_group *g);
/* Pages in use, shared ones in full: cheap. */
double procs_resident_kb(const struct proc_group *g);
unsigned procs_threads(const struct proc_group *g);

#endif
