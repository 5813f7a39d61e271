#include "procs.h"

#include <dirent.h>
#include <fcntl.h>
#include <postern/str.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ALL_MAX 4096

/* The whole (small) file into `to`, NUL-terminated; false when it cannot be read. */
static bool slurp(const char *path, char *to, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, to, size - 1);
    close(fd);
    to[n > 0 ? n : 0] = 0;
    return n > 0;
}

static bool slurp_of(pid_t pid, const char *name, char *to, size_t size)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    return slurp(path, to, size);
}

bool procs_parse(const char *text, struct proc_group *ret)
{
    struct str rest = str_of(text), name = STR_NULL;
    char command[32] = "";
    uint64_t pid;
    if (strchr(text, '=') && !(str_next(&rest, '=', &name) && name.n && name.n < sizeof ret->name))
        return false;
    if (!str_to_u64(rest, &pid) || pid == 0 || pid > INT32_MAX ||
        !slurp_of((pid_t)pid, "comm", command, sizeof command))
        return false;
    command[strcspn(command, "\n")] = 0;
    *ret = (struct proc_group){.root = (pid_t)pid};
    snprintf(ret->name, sizeof ret->name, "%.*s", name.n ? (int)name.n : (int)strlen(command),
             name.n ? name.p : command);
    return true;
}

/* Field `number` of /proc/PID/stat, counted as proc(5) does; the second may hold spaces and parentheses. */
static uint64_t stat_field(const char *stat, unsigned number)
{
    const char *p = strrchr(stat, ')');
    for (unsigned i = 2; p && i < number; i++) {
        p = strchr(p, ' ');
        p = p ? p + 1 : NULL;
    }
    return p ? strtoull(p, NULL, 10) : 0;
}

/* --- the tree --- */

struct relation {
    pid_t pid, parent;
};

static size_t list(struct relation *to, size_t max)
{
    DIR *proc = opendir("/proc");
    struct dirent *d;
    char stat[1024];
    size_t n = 0;
    uint64_t pid;
    while (proc && n < max && (d = readdir(proc)) != NULL)
        if (str_to_u64(str_of(d->d_name), &pid) && slurp_of((pid_t)pid, "stat", stat, sizeof stat))
            to[n++] = (struct relation){(pid_t)pid, (pid_t)stat_field(stat, 4)};
    if (proc)
        closedir(proc);
    return n;
}

void procs_refresh(struct proc_group *g)
{
    struct relation *all = calloc(ALL_MAX, sizeof *all);
    size_t n = all ? list(all, ALL_MAX) : 0;
    g->n = 1;
    g->pids[0] = g->root;
    /* The list grows while it is walked: children, then theirs. */
    for (unsigned i = 0; i < g->n; i++)
        for (size_t k = 0; k < n && g->n < PROC_TREE_MAX; k++)
            if (all[k].parent == g->pids[i])
                g->pids[g->n++] = all[k].pid;
    free(all);
}

/* --- CPU --- */

/* Nanoseconds that all threads have run, exact; 0 where the kernel keeps no scheduler statistics. */
static uint64_t run_ns(pid_t pid)
{
    char path[300], text[128];
    struct dirent *d;
    uint64_t sum = 0;
    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *tasks = opendir(path);
    while (tasks && (d = readdir(tasks)) != NULL) {
        snprintf(path, sizeof path, "/proc/%d/task/%.200s/schedstat", (int)pid, d->d_name);
        if (d->d_name[0] != '.' && slurp(path, text, sizeof text))
            sum += strtoull(text, NULL, 10);
    }
    if (tasks)
        closedir(tasks);
    return sum;
}

static double cpu_of(pid_t pid)
{
    char stat[1024];
    uint64_t ns = run_ns(pid);
    if (ns)
        return (double)ns / 1e9;
    if (!slurp_of(pid, "stat", stat, sizeof stat))
        return 0;
    return (double)(stat_field(stat, 14) + stat_field(stat, 15)) / (double)sysconf(_SC_CLK_TCK);
}

double procs_cpu(const struct proc_group *g)
{
    double sum = 0;
    for (unsigned i = 0; i < g->n; i++)
        sum += cpu_of(g->pids[i]);
    return sum;
}

unsigned procs_threads(const struct proc_group *g)
{
    char stat[1024];
    uint64_t sum = 0;
    for (unsigned i = 0; i < g->n; i++)
        sum += slurp_of(g->pids[i], "stat", stat, sizeof stat) ? stat_field(stat, 20) : 0;
    return (unsigned)sum;
}

/* --- memory --- */

double procs_pss_kb(const struct proc_group *g)
{
    char text[4096];
    double sum = 0;
    for (unsigned i = 0; i < g->n; i++) {
        const char *p =
            slurp_of(g->pids[i], "smaps_rollup", text, sizeof text) ? strstr(text, "\nPss:") : NULL;
        sum += p ? (double)strtoull(p + 5, NULL, 10) : 0;
    }
    return sum;
}

double procs_resident_kb(const struct proc_group *g)
{
    char text[256];
    double pages = 0;
    for (unsigned i = 0; i < g->n; i++) {
        const char *second = slurp_of(g->pids[i], "statm", text, sizeof text) ? strchr(text, ' ') : NULL;
        pages += second ? (double)strtoull(second, NULL, 10) : 0;
    }
    return pages * (double)sysconf(_SC_PAGESIZE) / 1024;
}
