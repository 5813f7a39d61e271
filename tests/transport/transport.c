#include "transport.h"

static const struct transport transports[] = {
    {"plain", 0}, {"TLS 1.2", TLS1_2_VERSION}, {"TLS 1.3", TLS1_3_VERSION}};
#define TRANSPORTS (sizeof(transports) / sizeof(transports[0]))

struct run {
    const struct transport_test *test;
    const struct transport *over;
    bool tcp;
};

static struct test_certificate certificate;
static const struct test_want want = {.name = "transport", .san = "DNS:transport.example"};

static void scene_open(struct scene *s)
{
    net_accept(s->w, &s->probe, s->server, s->tcp, &s->peer, s->client, NULL);
    net_shake(s->w, &s->probe, &s->peer);
}

void scene_close(struct scene *s)
{
    peer_close(&s->peer);
    probe_close(s->w, &s->probe);
}

void scene_again(struct scene *s)
{
    scene_close(s);
    scene_open(s);
}

static void run_one(void **state)
{
    const struct run *r = *state;
    const struct test_certificate *list[] = {&certificate};
    struct scene s = {.over = r->over, .tcp = r->tcp};

    s.w = net_worker();
    if (scene_is_tls(&s)) {
        s.server = net_tls_server(s.w, &s.conf, CONF_TLS_INTERMEDIATE, NULL, list, 1);
        s.client = net_client_ctx(&certificate);
        SSL_CTX_set_min_proto_version(s.client, r->over->version);
        SSL_CTX_set_max_proto_version(s.client, r->over->version);
    }
    scene_open(&s);
    r->test->run(&s);
    scene_close(&s);
    if (scene_is_tls(&s)) {
        SSL_CTX_free(s.client);
        tls_server_free(s.server);
    }
    net_worker_end(s.w);
}

int transport_run(const char *group, const struct transport_test *tests, size_t n, bool tcp)
{
    struct CMUnitTest *all = calloc(n * TRANSPORTS, sizeof(*all));
    struct run *runs = calloc(n * TRANSPORTS, sizeof(*runs));
    char(*names)[100] = calloc(n * TRANSPORTS, sizeof(*names));
    size_t k = 0;
    int failed;

    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < TRANSPORTS; j++) {
            if (tests[i].tls_only && transports[j].version == 0)
                continue;
            snprintf(names[k], sizeof(names[k]), "%s over %s", tests[i].name, transports[j].name);
            runs[k] = (struct run){&tests[i], &transports[j], tcp};
            all[k] = (struct CMUnitTest){.name = names[k], .test_func = run_one, .initial_state = &runs[k]};
            k++;
        }
    }
    failed = net_run(group, all, k, &want, &certificate, 1);
    free(all);
    free(runs);
    free(names);
    return failed;
}
