#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <postern/log.h>

#include "process.h"

/* All end the process while nobody handles them, and clients are served before the main loop listens to signals: until then they
 * wait. */
static const sigset_t *awaited_signals(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGHUP);
    sigaddset(set, SIGUSR1);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
    return set;
}

void process_prepare(void)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    struct rlimit r;
    sigset_t awaited;

    if (getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur < r.rlim_max) {
        r.rlim_cur = r.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &r);
    }
    (void)prctl(PR_SET_DUMPABLE, 0);
    sigaction(SIGPIPE, &ignore, NULL);
    (void)pthread_sigmask(SIG_BLOCK, awaited_signals(&awaited), NULL);
    umask(027);
}

void process_hear_signals(void)
{
    sigset_t awaited;

    (void)pthread_sigmask(SIG_UNBLOCK, awaited_signals(&awaited), NULL);
}

static int fail(struct conf_findings *f, const char *what, struct str name, const char *why)
{
    conf_finding_add(f, CONF_ERROR, (struct conf_mark){0}, "%s %.*s: %s", what, STR_ARG(name), why);
    return -1;
}

static int find_user(const struct conf_process *p, uid_t *ret_uid, gid_t *ret_gid, struct conf_findings *f)
{
    const struct passwd *user = getpwnam(p->user.p);
    const struct group *group;

    if (user == NULL)
        return fail(f, "user", p->user, "no such user: create it with `adduser --system --group`");
    *ret_uid = user->pw_uid;
    *ret_gid = user->pw_gid;
    if (p->group.p == NULL)
        return 0;
    group = getgrnam(p->group.p);
    if (group == NULL)
        return fail(f, "group", p->group, "no such group");
    *ret_gid = group->gr_gid;
    return 0;
}

/* Only root can make a folder in /run; the sockets in it are made, and at the next start replaced, by the
 * user. */
static void give_folder(const struct conf_process *p, uid_t uid, gid_t gid)
{
    char folder[PATH_MAX];
    const char *slash = p->control_socket.p != NULL ? strrchr(p->control_socket.p, '/') : NULL;

    if (slash == NULL || slash == p->control_socket.p ||
        (size_t)(slash - p->control_socket.p) >= sizeof(folder))
        return;
    memcpy(folder, p->control_socket.p, (size_t)(slash - p->control_socket.p));
    folder[slash - p->control_socket.p] = '\0';
    if (mkdir(folder, 0755) == 0)
        (void)!lchown(folder, uid, gid);
}

/* No core dump, and no other process of the same user that looks into our memory: passwords pass through it, keys stay there. (A
 * sanitizer's leak check is such a process.) */
static void process_harden(void)
{
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    const struct rlimit none = {0, 0};

    (void)prctl(PR_SET_DUMPABLE, 0);
    (void)setrlimit(RLIMIT_CORE, &none);
#endif
    (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

static int become(uid_t uid, gid_t gid, const struct conf_process *p, struct conf_findings *f)
{
    if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
        return fail(f, "cannot become user", p->user, strerror(errno));
    if (uid != 0 && setuid(0) == 0)
        return fail(f, "privileges came back after becoming", p->user, "refusing to run");
    return 0;
}

int process_drop_privileges(const struct conf_process *p, struct conf_findings *f)
{
    bool drop = geteuid() == 0 && p->user.p != NULL && p->user.n > 0;
    uid_t uid = geteuid();
    gid_t gid = getegid();

    if (drop && find_user(p, &uid, &gid, f) < 0)
        return -1;
    give_folder(p, uid, gid);
    if (drop && become(uid, gid, p, f) < 0)
        return -1;
    process_harden();
    return 0;
}

void process_log_capacity(unsigned connections)
{
    struct rlimit r = {0};

    getrlimit(RLIMIT_NOFILE, &r);
    log_event(LOG_EV_CAPACITY, LF_U64("descriptors", r.rlim_cur), LF_U64("connections", connections));
}
