/*
 * `postern auth test`: one name and one password, put to the directories as Postern would, and what they say in plain words.
 * Nothing of it goes through the process that serves: neither its cache nor its counters know of it.
 */
#include <signal.h>
#include <string.h>
#include <uv.h>

#include <postern/terminal.h>
#include <postern/verifier.h>

#include "command.h"

struct test {
    const char *name, *file, *directory;
    struct snapshot *snapshot;
    struct verifiers *verifiers;
    struct basic_credentials c;
    unsigned asked, right;
};

/* ---- words ---- */

/* What an administrator can do about it; the meaning itself is auth_detail_doc's. */
static const struct {
    enum auth_detail detail;
    const char *advice;
} advices[] = {
    {AUTH_DETAIL_INVALID, "this kind of directory does not tell an unknown name from a wrong password"},
    {AUTH_DETAIL_AMBIGUOUS, "make `search_filter` so that it fits one account"},
    {AUTH_DETAIL_UNREACHABLE, "look at the address, the port, and the firewall between here and there"},
    {AUTH_DETAIL_TIMED_OUT, "the server, or a firewall that drops what it does not like, says nothing"},
    {AUTH_DETAIL_TLS_FAILED,
     "the event above says which: compare `trust` with who signed the server's certificate, and "
     "`expected_name` or the server's name with the names in it"},
    {AUTH_DETAIL_REFUSED,
     "the event above has the server's words: look at `bind_as`, `search_base` and what the server demands"},
    {AUTH_DETAIL_BAD_ANSWER,
     "another secret than the server's, a RADIUS server that does not send Message-Authenticator, or not "
     "the kind of server that the configuration says"},
    {AUTH_DETAIL_SERVICE_ACCOUNT,
     "look at `bind_dn` and `bind_password_file`, and whether that account is locked"},
    {AUTH_DETAIL_CHALLENGED,
     "use a RADIUS policy that takes the password alone, or password and code in one"},
};

static const char *advice_of(enum auth_detail d)
{
    for (size_t i = 0; i < sizeof(advices) / sizeof(advices[0]); i++) {
        if (advices[i].detail == d)
            return advices[i].advice;
    }
    return NULL;
}

static void tell_groups(const struct conf_directory *d, const struct auth_result *r)
{
    for (unsigned i = 0; i < d->group_names->n; i++) {
        if ((d->groups >> i & 1) != 0)
            printf("    group %.*s: %s\n", STR_ARG(d->group_names->v[i]),
                   (r->groups >> i & 1) != 0 ? "yes" : "no");
    }
}

static void tell(const struct conf_directory *d, const struct auth_result *r, uint64_t ms)
{
    static const char *const verdicts[] = {"RIGHT", "WRONG", "NO ANSWER", "NO ANSWER IN TIME", "BUSY"};
    const char *advice = advice_of(r->detail);

    printf("%.*s (%s): %s after %llu ms", STR_ARG(d->name), conf_directory_type_name(d->type),
           verdicts[r->verdict], (unsigned long long)ms);
    if (r->verdict == VERDICT_OK) {
        puts("");
        tell_groups(d, r);
        return;
    }
    printf("\n    %s (%s)\n", auth_detail_doc(r->detail), auth_detail_name(r->detail));
    if (advice != NULL)
        printf("    %s\n", advice);
}

/* ---- asking ---- */

static void ask(struct test *t, const struct conf_directory *d)
{
    struct verifier *v = verifiers_find(t->verifiers, d);
    struct auth_result r = {0};
    uint64_t begin = uv_hrtime();

    verifier_ask(v, &t->c, "", t->snapshot->process.auth_timeout, &r);
    tell(d, &r, (uv_hrtime() - begin) / 1000000);
    t->asked++;
    t->right += r.verdict == VERDICT_OK;
}

/* All, or the one that was named; a chain is asked only by its name, its members are asked anyway. */
static int ask_all(struct test *t)
{
    for (size_t i = 0; i < t->snapshot->directories_n; i++) {
        const struct conf_directory *d = &t->snapshot->directories[i];
        if (t->directory != NULL ? str_eq(d->name, str_of(t->directory)) : d->type != CONF_DIRECTORY_CHAIN)
            ask(t, d);
    }
    if (t->asked > 0)
        return t->right > 0 ? 0 : 1;
    fprintf(stderr, "postern auth: %s has no directory%s%s\n", t->file, t->directory != NULL ? " " : "",
            t->directory != NULL ? t->directory : "");
    return 1;
}

static bool credentials_read(struct test *t)
{
    t->c.user_n = strlen(t->name);
    if (t->c.user_n == 0 || t->c.user_n > ACCOUNT_NAME_MAX) {
        fprintf(stderr, "postern auth: a name has 1 to %d octets\n", ACCOUNT_NAME_MAX);
        return false;
    }
    memcpy(t->c.user, t->name, t->c.user_n);
    if (!terminal_secret("Password: ", t->c.password, sizeof(t->c.password))) {
        fprintf(stderr, "postern auth: a password has 1 to %d octets\n", ACCOUNT_PASSWORD_MAX);
        return false;
    }
    t->c.password_n = strlen(t->c.password);
    return true;
}

static int test_run(struct test *t)
{
    struct conf_findings *f = conf_findings_new();
    int result = 1;

    if (f == NULL)
        return 1;
    t->snapshot = conf_load(t->file, f);
    t->verifiers = t->snapshot != NULL ? verifiers_new(t->snapshot, f) : NULL;
    if (t->verifiers == NULL)
        conf_findings_print(f, stderr);
    else if (credentials_read(t))
        result = ask_all(t);
    basic_forget(&t->c);
    verifiers_free(t->verifiers);
    snapshot_release(t->snapshot);
    conf_findings_free(f);
    return result;
}

int command_auth(int argc, char **argv)
{
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    struct test t = {.file = CONFIG_DEFAULT};

    if (argc > 1 && strcmp(argv[1], "flush") == 0)
        return command_auth_flush(argc - 1, argv + 1);
    for (int i = 2; i < argc; i++) {
        if (strcmp(argv[i], "-c") == 0 && i + 1 < argc)
            t.file = argv[++i];
        else if (strcmp(argv[i], "--directory") == 0 && i + 1 < argc)
            t.directory = argv[++i];
        else if (argv[i][0] != '-' && t.name == NULL)
            t.name = argv[i];
        else
            argc = 0;
    }
    if (argc < 3 || strcmp(argv[1], "test") != 0 || t.name == NULL) {
        fputs(
            "usage: postern auth test NAME [--directory DIRECTORY] [-c FILE]\n       postern auth flush [-c FILE]\n",
            stderr);
        return 2;
    }
    sigaction(SIGPIPE, &ignore, NULL); /* a server that closes while it is written to */
    return test_run(&t);
}
