/*
 * Names to addresses. The system's resolver is a fake of this file's own: libuv finds its getaddrinfo before the C library's.
 */
#include <netdb.h>
#include <pthread.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <postern/resolve.h>

#include "net_fixture.h"

/* ---- the fake resolver; called on libuv's threads ---- */

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    const char *answer; /* addresses, separated by spaces; NULL: fails with `error` */
    int error;
    bool held; /* answers wait */
    unsigned asked, waiting;
    char host[100];
} dns = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static struct addrinfo *info_new(const char *text)
{
    struct {
        struct addrinfo info;
        struct sockaddr_storage sa;
    } *one = calloc(1, sizeof(*one));
    struct sockaddr_in *in = (void *)&one->sa;
    struct sockaddr_in6 *in6 = (void *)&one->sa;

    one->info.ai_addr = (struct sockaddr *)&one->sa;
    if (inet_pton(AF_INET, text, &in->sin_addr) == 1) {
        in->sin_family = AF_INET;
        one->info.ai_addrlen = sizeof(*in);
    } else if (inet_pton(AF_INET6, text, &in6->sin6_addr) == 1) {
        in6->sin6_family = AF_INET6;
        one->info.ai_addrlen = sizeof(*in6);
    } else {
        one->sa.ss_family = AF_UNIX; /* what nobody can connect to */
        one->info.ai_addrlen = sizeof(sa_family_t);
    }
    one->info.ai_family = one->sa.ss_family;
    return &one->info;
}

int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **ret)
{
    struct addrinfo *list = NULL, **end = &list;
    char text[1000] = "", *rest = text, *word;
    int error;

    pthread_mutex_lock(&dns.lock);
    dns.asked++;
    dns.waiting++;
    snprintf(dns.host, sizeof(dns.host), "%s", host);
    while (dns.held)
        pthread_cond_wait(&dns.changed, &dns.lock);
    dns.waiting--;
    error = dns.answer != NULL ? 0 : dns.error;
    if (dns.answer != NULL)
        snprintf(text, sizeof(text), "%s", dns.answer);
    pthread_mutex_unlock(&dns.lock);
    while (error == 0 && (word = strsep(&rest, " ")) != NULL) {
        if (*word == '\0')
            continue;
        *end = info_new(word);
        end = &(*end)->ai_next;
    }
    *ret = list;
    return error;
}

void freeaddrinfo(struct addrinfo *list)
{
    while (list != NULL) {
        struct addrinfo *next = list->ai_next;

        free(list);
        list = next;
    }
}

static void dns_set(const char *answer, int error)
{
    pthread_mutex_lock(&dns.lock);
    dns.answer = answer;
    dns.error = error;
    pthread_mutex_unlock(&dns.lock);
}

static void dns_hold(bool held)
{
    pthread_mutex_lock(&dns.lock);
    dns.held = held;
    pthread_cond_broadcast(&dns.changed);
    pthread_mutex_unlock(&dns.lock);
}

static unsigned dns_asked(void)
{
    unsigned n;

    pthread_mutex_lock(&dns.lock);
    n = dns.asked;
    pthread_mutex_unlock(&dns.lock);
    return n;
}

static bool dns_waits(void)
{
    bool w;

    pthread_mutex_lock(&dns.lock);
    w = dns.waiting > 0;
    pthread_mutex_unlock(&dns.lock);
    return w;
}

/* ---- one job ---- */

struct scene {
    struct worker *w;
    struct resolve_job *job;
    unsigned changed, failed, late;
    struct resolve_result last;
    char why[100];
    bool stop_inside, stopped, hangs;
};

static void on_changed(void *ctx, const struct resolve_result *r)
{
    struct scene *s = ctx;

    s->late += s->stopped;
    s->changed++;
    s->last = *r;
    if (!s->stop_inside)
        return;
    resolve_stop(s->job);
    s->stopped = true;
}

static void on_failed(void *ctx, const char *why)
{
    struct scene *s = ctx;

    s->late += s->stopped;
    s->failed++;
    snprintf(s->why, sizeof(s->why), "%s", why);
    if (!s->stop_inside)
        return;
    resolve_stop(s->job);
    s->stopped = true;
}

static void scene_begin(struct scene *s, const char *host, uint64_t interval)
{
    memset(s, 0, sizeof(*s));
    s->w = net_worker();
    s->job = resolve_start(&s->w->loop, host, 443, interval, on_changed, on_failed, s);
    assert_non_null(s->job);
    assert_int_equal(s->changed + s->failed, 0); /* never before it returns */
}

static void scene_end(struct scene *s)
{
    if (!s->stopped)
        resolve_stop(s->job);
    s->stopped = true;
    dns_hold(false);
    net_turns(s->w, 5);
    assert_int_equal(s->late, 0);
    net_worker_end(s->w);
}

static bool until_count(struct scene *s, const unsigned *what, unsigned n)
{
    uint64_t until = net_now_ms() + WAIT_MS;

    while (*what < n && net_now_ms() < until)
        net_turn(s->w);
    return *what >= n;
}

static bool until_asked(struct scene *s, unsigned n)
{
    uint64_t until = net_now_ms() + WAIT_MS;

    while (dns_asked() < n && net_now_ms() < until)
        net_turn(s->w);
    net_turns(s->w, 10);
    return dns_asked() >= n;
}

static void check_address(const struct resolve_result *r, unsigned i, const char *want)
{
    char text[100];
    size_t n = log_address((const struct sockaddr *)&r->v[i], true, text, sizeof(text));

    text[n] = '\0';
    assert_string_equal(text, want);
}

/* ---- tests ---- */

static void test_literals(void **state)
{
    static const struct {
        const char *host, *want;
    } rows[] = {{"192.0.2.7", "192.0.2.7:443"}, {"2001:db8::7", "[2001:db8::7]:443"}, {"::1", "[::1]:443"}};

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct scene s;
        unsigned asked = dns_asked();

        scene_begin(&s, rows[i].host, 1);
        assert_true(until_count(&s, &s.changed, 1));
        assert_int_equal(s.last.n, 1);
        check_address(&s.last, 0, rows[i].want);
        net_turns(s.w, 20);
        assert_int_equal(s.changed, 1);
        assert_int_equal(dns_asked(), asked);
        scene_end(&s);
    }
}

static void test_names(void **state)
{
    struct scene s;

    dns_set("2001:db8::2 192.0.2.9 2001:db8::1 192.0.2.8 192.0.2.9 192.0.2.10 nonsense", 0);
    scene_begin(&s, "cas1.example.com", 60000);
    assert_true(until_count(&s, &s.changed, 1));
    assert_string_equal(dns.host, "cas1.example.com");
    assert_int_equal(s.last.n, 5); /* each once, and only what can be connected to */
    check_address(&s.last, 0, "192.0.2.8:443");
    check_address(&s.last, 1, "192.0.2.9:443");
    check_address(&s.last, 2, "192.0.2.10:443");
    check_address(&s.last, 3, "[2001:db8::1]:443");
    check_address(&s.last, 4, "[2001:db8::2]:443");
    scene_end(&s);
}

static void test_told_when_different(void **state)
{
    struct scene s;
    unsigned asked;

    dns_set("192.0.2.1 192.0.2.2", 0);
    scene_begin(&s, "cas1.example.com", 1);
    assert_true(until_count(&s, &s.changed, 1));
    dns_set("192.0.2.2 192.0.2.1", 0); /* another order is the same set */
    asked = dns_asked();
    assert_true(until_asked(&s, asked + 3));
    assert_int_equal(s.changed, 1);
    dns_set("192.0.2.2", 0);
    assert_true(until_count(&s, &s.changed, 2));
    assert_int_equal(s.last.n, 1);
    check_address(&s.last, 0, "192.0.2.2:443");
    dns_set("192.0.2.3", 0);
    assert_true(until_count(&s, &s.changed, 3));
    assert_int_equal(s.failed, 0);
    scene_end(&s);
}

/* More than fit: the same ones whatever the order. */
static void test_many(void **state)
{
    struct scene s;
    char one[1000] = "", two[1000] = "", text[40];
    unsigned asked;

    for (int i = 0; i < 40; i++) {
        snprintf(one + strlen(one), sizeof(one) - strlen(one), "192.0.2.%d ", 100 + i);
        snprintf(two + strlen(two), sizeof(two) - strlen(two), "192.0.2.%d ", 139 - (i + 20) % 40);
    }
    dns_set(one, 0);
    scene_begin(&s, "many.example.com", 1);
    assert_true(until_count(&s, &s.changed, 1));
    assert_int_equal(s.last.n, RESOLVE_ADDRESSES_MAX);
    for (unsigned i = 0; i < RESOLVE_ADDRESSES_MAX; i++) {
        snprintf(text, sizeof(text), "192.0.2.%u:443", 100 + i);
        check_address(&s.last, i, text);
    }
    dns_set(two, 0);
    asked = dns_asked();
    assert_true(until_asked(&s, asked + 3));
    assert_int_equal(s.changed, 1);
    scene_end(&s);
}

static void test_failures(void **state)
{
    struct scene s;

    dns_set(NULL, EAI_NONAME);
    scene_begin(&s, "nobody.example.com", 1);
    assert_true(until_count(&s, &s.failed, 2)); /* and asks again */
    assert_string_equal(s.why, "unknown node or service");
    assert_int_equal(s.changed, 0);
    dns_set("192.0.2.1", 0);
    assert_true(until_count(&s, &s.changed, 1));
    dns_set(NULL, EAI_AGAIN);
    s.failed = 0;
    assert_true(until_count(&s, &s.failed, 1));
    assert_int_equal(s.changed, 1); /* the addresses stay */
    dns_set("192.0.2.1", 0);
    assert_true(until_asked(&s, dns_asked() + 2));
    assert_int_equal(s.changed, 1);
    dns_set("", 0); /* an answer without addresses is none */
    s.failed = 0;
    assert_true(until_count(&s, &s.failed, 1));
    assert_int_equal(s.changed, 1);
    scene_end(&s);
}

static void test_stopped_while_asking(void **state)
{
    for (int i = 0; i < 2; i++) {
        struct scene s;

        dns_set(i == 0 ? "192.0.2.1" : NULL, EAI_FAIL);
        dns_hold(true);
        scene_begin(&s, "slow.example.com", 1);
        while (!dns_waits())
            net_turn(s.w);
        resolve_stop(s.job);
        s.stopped = true;
        net_turns(s.w, 5);
        assert_int_equal(s.changed + s.failed, 0);
        scene_end(&s); /* lets it answer */
        assert_int_equal(s.changed + s.failed, 0);
    }
}

static void test_stopped_before_asking(void **state)
{
    struct scene s;

    scene_begin(&s, "cas1.example.com", 1);
    scene_end(&s);
    assert_int_equal(s.changed + s.failed, 0);
    scene_begin(&s, "127.0.0.1", 1);
    scene_end(&s);
    assert_int_equal(s.changed + s.failed, 0);
}

static void test_stopped_inside(void **state)
{
    static const char *const hosts[] = {"cas1.example.com", "127.0.0.1"};

    for (int i = 0; i < 4; i++) {
        struct scene s;

        dns_set(i < 2 ? "192.0.2.1" : NULL, EAI_FAIL);
        scene_begin(&s, hosts[i % 2], 1);
        s.stop_inside = true;
        while (!s.stopped)
            net_turn(s.w);
        net_turns(s.w, 20);
        assert_int_equal(s.changed + s.failed, 1);
        scene_end(&s);
    }
}

/* More jobs than libuv has threads, stopped while some wait for a thread. */
static void test_many_jobs(void **state)
{
    struct scene s[12];
    struct worker *w = net_worker();

    dns_set("192.0.2.1", 0);
    dns_hold(true);
    memset(s, 0, sizeof(s));
    for (int i = 0; i < 12; i++) {
        s[i].w = w;
        s[i].job = resolve_start(&w->loop, "cas1.example.com", 443, 60000, on_changed, on_failed, &s[i]);
    }
    while (!dns_waits())
        net_turn(w);
    for (int i = 0; i < 12; i++) {
        resolve_stop(s[i].job);
        s[i].stopped = true;
        if (i % 3 == 0)
            net_turn(w);
    }
    dns_hold(false);
    net_turns(w, 20);
    for (int i = 0; i < 12; i++)
        assert_int_equal(s[i].changed + s[i].failed + s[i].late, 0);
    net_worker_end(w);
}

static void count_host(void *ctx, const char *host)
{
    unsigned *n = ctx;

    *n += strcmp(host, "hung.example.com") == 0;
}

static void start_hung(struct worker *w, void *arg)
{
    struct scene *s = arg;

    s->job = resolve_start(&w->loop, "hung.example.com", 443, 60000, on_changed, on_failed, s);
}

static void stop_nothing(struct worker *w)
{
}

static void deliver_resolve_stop(struct worker *w, struct letter *l)
{
    const struct scene *s = w->arg;

    resolve_stop(s->job);
    dns_hold(s->hangs);
}

/* A worker ends without the answer, and what the answer is written to stays. Answers that come in time leave nothing. */
static void test_worker_ends_while_asking(void **state)
{
    for (int hangs = 0; hangs < 2; hangs++) {
        struct scene s = {.hangs = hangs == 1};
        struct letter l = {.deliver = deliver_resolve_stop};
        const struct worker_options o = {
            .rx_size = 4096, .start = start_hung, .stop = stop_nothing, .arg = &s};
        unsigned hung = 0;
        uint64_t began;

        dns_set("192.0.2.1", 0);
        dns_hold(true);
        s.w = worker_start(&o);
        assert_non_null(s.w);
        while (!dns_waits() || resolve_hanging(count_host, &hung) == 0)
            usleep(1000);
        worker_post(s.w, &l);
        worker_stop(s.w);
        began = net_now_ms();
        worker_join(s.w);
        assert_true(net_now_ms() - began < WAIT_MS);
        hung = 0;
        assert_int_equal(resolve_hanging(count_host, &hung), hangs);
        assert_int_equal(hung, hangs);
        dns_hold(false);
        while (dns_waits())
            usleep(1000);
        assert_int_equal(s.changed + s.failed, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_literals),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_told_when_different),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_stopped_while_asking),
        cmocka_unit_test(test_stopped_before_asking),
        cmocka_unit_test(test_stopped_inside),
        cmocka_unit_test(test_many_jobs),
        cmocka_unit_test(test_worker_ends_while_asking), /* last: what hung stays in the list */
    };

    return cmocka_run_group_tests_name("resolve", tests, net_setup, net_teardown);
}
