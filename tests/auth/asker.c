/*
 * Asks the directories of a configuration, as the threads of the pool do: asker CONFIG. A line in, a line out:
 *   ask DIRECTORY TIMEOUT_MS USER PASSWORD            verdict detail groups milliseconds
 *   many DIRECTORY TIMEOUT_MS USER PASSWORD N THREADS done; it goes on behind the scenes, also while `reload` works
 *   wait                                              detail=count ... of `many`
 *   tidy | reload CONFIG                              done
 *   traces PASSWORD                                   how often the password lies in the writable memory of the process
 * Names and passwords are in base64, - is empty.
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <uv.h>
#include <postern/log.h>
#include <postern/verifier.h>

#include "../../proxy/auth/auth_int.h"

static const char *const verdicts[] = {"ok", "wrong", "unavailable", "timeout", "busy"};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct snapshot *current;
static struct verifiers *current_verifiers;

static int load(const char *path)
{
    struct conf_findings *f = conf_findings_new();
    struct snapshot *s = conf_load(path, f), *old;
    struct verifiers *v = s != NULL ? verifiers_new(s, f) : NULL;

    conf_findings_print(f, stderr);
    conf_findings_free(f);
    if (v == NULL) {
        snapshot_release(s);
        return -1;
    }
    snapshot_attach(s, v, verifiers_free);
    pthread_mutex_lock(&lock);
    old = current;
    current = s;
    current_verifiers = v;
    pthread_mutex_unlock(&lock);
    snapshot_release(old);
    return 0;
}

struct question {
    struct str directory;
    uint64_t timeout_ms;
    struct basic_credentials c;
    unsigned n;
    unsigned counts[AUTH_DETAIL_COUNT];
};

static struct verifier *find(const struct snapshot *s, struct verifiers *v, struct str name)
{
    for (size_t i = 0; i < s->directories_n; i++) {
        if (str_eq(s->directories[i].name, name))
            return verifiers_find(v, &s->directories[i]);
    }
    fprintf(stderr, "asker: no directory %.*s\n", STR_ARG(name));
    exit(2);
}

static struct auth_result ask(const struct question *q)
{
    struct auth_result r = {0};
    struct verifiers *all;
    struct snapshot *s;
    struct verifier *v;

    pthread_mutex_lock(&lock);
    s = snapshot_hold(current);
    all = current_verifiers;
    pthread_mutex_unlock(&lock);
    v = find(s, all, q->directory);
    v->type->verify(v->state, &q->c, "192.0.2.7", q->timeout_ms, &r);
    snapshot_release(s);
    return r;
}

static void *many_thread(void *arg)
{
    struct question *q = arg;

    for (unsigned i = 0; i < q->n; i++)
        q->counts[ask(q).detail]++;
    return NULL;
}

static unsigned threads_n;
static struct question questions[64];
static pthread_t threads[64];

static void many_begin(const struct question *q, unsigned n)
{
    threads_n = n;
    for (unsigned i = 0; i < n; i++) {
        questions[i] = *q;
        if (pthread_create(&threads[i], NULL, many_thread, &questions[i]) != 0)
            abort();
    }
}

static void many_end(void)
{
    unsigned sum[AUTH_DETAIL_COUNT] = {0};

    for (unsigned i = 0; i < threads_n; i++) {
        pthread_join(threads[i], NULL);
        for (int d = 0; d < AUTH_DETAIL_COUNT; d++)
            sum[d] += questions[i].counts[d];
    }
    for (int d = 0; d < AUTH_DETAIL_COUNT; d++) {
        if (sum[d] > 0)
            printf("%s=%u ", auth_detail_name((enum auth_detail)d), sum[d]);
    }
    threads_n = 0;
    puts("");
}

static bool decode(const char *text, char *out, size_t size, size_t *ret_n)
{
    ptrdiff_t n = strcmp(text, "-") == 0 ? 0 : str_base64_decode(str_of(text), out, size);

    if (n >= 0)
        out[n] = '\0';
    *ret_n = (size_t)n;
    return n >= 0;
}

static bool question_read(struct question *q, char **word, unsigned n)
{
    memset(q, 0, sizeof(*q));
    if (n < 5)
        return false;
    q->directory = str_of(word[1]);
    q->timeout_ms = strtoull(word[2], NULL, 10);
    q->n = n > 5 ? (unsigned)atoi(word[5]) : 1;
    return decode(word[3], q->c.user, sizeof(q->c.user) - 1, &q->c.user_n) &&
           decode(word[4], q->c.password, sizeof(q->c.password) - 1, &q->c.password_n);
}

/* ---- what is left of a password ---- */

#define SEGMENT_MAX (1ul << 30)

static size_t count_in(FILE *memory, unsigned long from, unsigned long to, const char *secret, size_t n)
{
    /* A sanitizer's shadow is no memory of ours. */
    char *block = to - from < SEGMENT_MAX ? malloc(to - from) : NULL;
    size_t found = 0, got = 0;

    if (block != NULL && fseek(memory, (long)from, SEEK_SET) == 0)
        got = fread(block, 1, to - from, memory);
    for (char *p = block; got >= n && (p = memmem(p, got - (size_t)(p - block), secret, n)) != NULL; p++)
        found++;
    if (block != NULL)
        explicit_bzero(block, to - from);
    free(block);
    return found;
}

/* The secret is given with each octet changed, and made right only here, where it is one more that is found. */
static void traces(const char *text)
{
    static char secret[ACCOUNT_PASSWORD_MAX + 1];
    unsigned long from, to;
    FILE *maps = fopen("/proc/self/maps", "r"), *memory = fopen("/proc/self/mem", "r");
    char line[512], mode[8];
    size_t n = 0, found = 0;

    if (maps == NULL || memory == NULL || !decode(text, secret, sizeof(secret) - 1, &n))
        abort();
    for (size_t i = 0; i < n; i++)
        secret[i] ^= 1;
    while (fgets(line, sizeof(line), maps) != NULL) {
        if (sscanf(line, "%lx-%lx %7s", &from, &to, mode) == 3 && mode[0] == 'r' && mode[1] == 'w' &&
            strstr(line, "[v") == NULL)
            found += count_in(memory, from, to, secret, n);
    }
    explicit_bzero(secret, sizeof(secret));
    fclose(maps);
    fclose(memory);
    printf("%zu\n", found - 1);
}

static void ask_one(const struct question *q)
{
    uint64_t begin = uv_hrtime();
    struct auth_result r = ask(q);

    printf("%s %s %llu %llu\n", verdicts[r.verdict], auth_detail_name(r.detail), (unsigned long long)r.groups,
           (unsigned long long)((uv_hrtime() - begin) / 1000000));
}

static void line_do(char **word, unsigned n)
{
    static char directory[128];
    struct question q;

    if (strcmp(word[0], "tidy") == 0) {
        verifiers_tidy(current_verifiers);
        puts("done");
    } else if (strcmp(word[0], "reload") == 0 && n == 2) {
        puts(load(word[1]) == 0 ? "done" : "failed");
    } else if (strcmp(word[0], "wait") == 0) {
        many_end();
    } else if (n == 2 && strcmp(word[0], "traces") == 0) {
        traces(word[1]);
    } else if (question_read(&q, word, n) && strcmp(word[0], "ask") == 0) {
        ask_one(&q);
        basic_forget(&q.c);
    } else if (n == 7 && strcmp(word[0], "many") == 0) {
        snprintf(directory, sizeof(directory), "%s", word[1]);
        q.directory = str_of(directory);
        many_begin(&q, (unsigned)atoi(word[6]));
        puts("done");
    } else {
        puts("what?");
    }
    fflush(stdout);
}

int main(int argc, char **argv)
{
    char line[4096], *word[8];

    signal(SIGPIPE, SIG_IGN); /* the pool's threads take no signals */
    if (argc != 2 || load(argv[1]) < 0)
        return 1;
    puts("ready");
    fflush(stdout);
    while (fgets(line, sizeof(line), stdin) != NULL) {
        unsigned n = 0;
        for (char *p = strtok(line, " \n"); p != NULL && n < 8; p = strtok(NULL, " \n"))
            word[n++] = p;
        if (n > 0)
            line_do(word, n);
    }
    if (threads_n > 0)
        many_end();
    snapshot_release(current);
    return 0;
}
