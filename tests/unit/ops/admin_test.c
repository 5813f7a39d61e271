/*
 * The admin and control desks over real sockets, in front of an engine that is not there.
 */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>

#include <postern/admin.h>
#include <postern/certificates.h>

static struct snapshot configuration = {.path = {"/etc/\"x\"", 8}, .generation = 7, .refs = 1};
static char folder[] = "/tmp/postern-admin-XXXXXX", control_path[64];
static struct sockaddr_in http_address;
static struct admin *admin;
static uv_loop_t loop;
static uv_thread_t thread;
static uv_async_t stopper, drainer;
static int reload_result, stops;

struct snapshot *engine_snapshot(struct engine *e)
{
    return snapshot_hold(&configuration);
}

unsigned engine_workers(const struct engine *e)
{
    return 2;
}

unsigned engine_capacity(const struct engine *e)
{
    return 100;
}

void engine_metrics(struct engine *e, struct metrics *sum)
{
    memset(sum, 0, sizeof(*sum));
    sum->v[METRIC_REQUESTS] = 42;
}

void engine_servers(struct engine *e, void (*each)(void *ctx, const struct engine_server_status *s),
                    void *ctx)
{
    struct engine_server_status s = {
        .backend = STR("cas"), .server = STR("https://cas1"), .up = true, .resolved = true};

    each(ctx, &s);
    each(ctx, &s);
}

void engine_directories(struct engine *e, void (*each)(void *ctx, const struct verifier_server *s), void *ctx)
{
    struct verifier_server s = {.directory = STR("corp"), .server = STR("ldaps://dc1"), .answers = 3};

    each(ctx, &s);
}

void engine_channels(struct engine *e, void (*each)(void *ctx, const struct engine_channel *c), void *ctx)
{
    struct engine_channel c = {.user = "alice", .direction = "in", .target = "cas1:6001", .bytes_in = 7};

    c.client.ss_family = AF_INET;
    each(ctx, &c);
}

static struct guard *guard;

struct guard *engine_guard(const struct engine *e)
{
    static const struct conf_guard numbers = {.accounts = 1024, .sources = 1024};

    if (guard == NULL)
        guard = guard_new(&numbers, NULL, 1);
    return guard;
}

int certificates_facts(const struct conf_certificate *c, struct certificate_facts *ret)
{
    return -1;
}

static int fake_reload(void *ctx, struct conf_findings *f)
{
    conf_finding_add(f, CONF_ERROR, (struct conf_mark){"p.yaml", 3, 1}, "no \"such\" thing");
    conf_finding_add(f, CONF_WARNING, (struct conf_mark){"p.yaml", 4, 1}, "doubtful");
    return reload_result;
}

static void fake_stop(void *ctx)
{
    stops++;
}

static void on_stopper(uv_async_t *a)
{
    admin_stop(admin);
    uv_close((uv_handle_t *)&stopper, NULL);
    uv_close((uv_handle_t *)&drainer, NULL);
}

static void on_drainer(uv_async_t *a)
{
    admin_draining(admin);
}

static void serve(void *arg)
{
    uv_run(&loop, UV_RUN_DEFAULT);
}

/* A port that was free a moment ago. */
static void choose_port(void)
{
    socklen_t n = sizeof(http_address);
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    http_address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(bind(fd, (struct sockaddr *)&http_address, n), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&http_address, &n), 0);
    close(fd);
}

static int start(void **state)
{
    static const struct admin_calls calls = {.reload = fake_reload, .stop = fake_stop};
    struct conf_findings *f = conf_findings_new();
    struct conf_process p = {.admin.len = sizeof(http_address)};

    assert_non_null(mkdtemp(folder));
    snprintf(control_path, sizeof(control_path), "%s/control", folder);
    p.control_socket = str_of(control_path);
    choose_port();
    memcpy(&p.admin.sa, &http_address, sizeof(http_address));
    uv_loop_init(&loop);
    uv_async_init(&loop, &stopper, on_stopper);
    uv_async_init(&loop, &drainer, on_drainer);
    admin = admin_start(&loop, NULL, &calls, &p, f);
    assert_non_null(admin);
    conf_findings_free(f);
    return uv_thread_create(&thread, serve, NULL);
}

static int stop(void **state)
{
    uv_async_send(&stopper);
    uv_thread_join(&thread);
    assert_int_equal(access(control_path, F_OK), -1);
    rmdir(folder);
    guard_free(guard);
    return uv_loop_close(&loop);
}

static const char *ask(const struct sockaddr *to, socklen_t to_n, const char *question)
{
    static char answer[32768];
    struct timeval patience = {.tv_sec = 10};
    int fd = socket(to->sa_family, SOCK_STREAM, 0);
    size_t n = 0;
    ssize_t got;

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    assert_int_equal(connect(fd, to, to_n), 0);
    (void)!send(fd, question, strlen(question), MSG_NOSIGNAL);
    while ((got = recv(fd, answer + n, sizeof(answer) - 1 - n, 0)) > 0)
        n += (size_t)got;
    close(fd);
    answer[n] = '\0';
    return answer;
}

static const char *http(const char *question)
{
    return ask((struct sockaddr *)&http_address, sizeof(http_address), question);
}

static const char *control(const char *question)
{
    struct sockaddr_un u = {.sun_family = AF_UNIX};

    strcpy(u.sun_path, control_path);
    return ask((struct sockaddr *)&u, sizeof(u), question);
}

static void pages(void **state)
{
    assert_non_null(strstr(http("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n"), "postern_requests_total 42"));
    assert_memory_equal(http("GET /health HTTP/1.0\r\n\r\n"), "HTTP/1.1 200 OK", 15);
    assert_non_null(strstr(http("GET /status HTTP/1.1\r\nHost: a\r\n\r\n"), "\"generation\":7"));
}

static void refusals(void **state)
{
    char longest[6000];

    assert_memory_equal(http("GET /other HTTP/1.1\r\n\r\n"), "HTTP/1.1 404", 12);
    assert_memory_equal(http("POST /health HTTP/1.1\r\n\r\n"), "HTTP/1.1 405", 12);
    assert_memory_equal(http("GET  /health HTTP/1.1\r\n\r\n"), "HTTP/1.1 400", 12);
    assert_memory_equal(http("GET /health\r\n\r\n"), "HTTP/1.1 400", 12);
    assert_memory_equal(http("GET /health HTTP/2.0\r\n\r\n"), "HTTP/1.1 400", 12);
    memset(longest, 'a', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    assert_string_equal(http(longest), "");
}

static void commands(void **state)
{
    struct stat st;

    assert_int_equal(stat(control_path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_non_null(strstr(control("status\n"), "\"config\":\"/etc/\\\"x\\\"\""));
    assert_memory_equal(control("status text\n"), "ok\n", 3);
    assert_null(strchr(control("status text\n"), '\033'));
    assert_non_null(strstr(control("status channels\n"), "\"direction\":\"in\",\"target\":\"cas1:6001\""));
    assert_non_null(strstr(control("status channels text\n"), "1 channels"));
    assert_string_equal(control("status devices -- nobody\n"),
                        "{\"count\":0,\"heartbeat_s\":0,\"devices\":[]}\n");
    assert_non_null(strstr(control("status devices text -- nobody\n"), "0 devices"));
    assert_non_null(strchr(control("status text colour\n"), '\033'));
    reload_result = -1;
    assert_memory_equal(control("reload\n"), "{\"ok\":false,\"findings\":[{", 25);
    assert_non_null(strstr(control("reload\n"), "},{"));
    assert_memory_equal(control("reload text\n"), "failed\n", 7);
    reload_result = 0;
    assert_memory_equal(control("reload text\n"), "ok\n", 3);
    assert_non_null(strstr(control("what\n"), "unknown command"));
    (void)control("stop\n");
    assert_int_equal(stops, 1);
}

static void guard_commands(void **state)
{
    assert_string_equal(control("status accounts text\n"), "ok\nno account or address is locked or fails\n");
    assert_string_equal(control("status accounts text -- alice\n"), "ok\nnothing is held against it\n");
    assert_string_equal(control("status accounts\n"), "{\"accounts\":[],\"sources\":[]}\n");
    assert_string_equal(control("unlock text -- CORP\\alice\n"), "failed\nnothing was held against it\n");
    assert_string_equal(control("unlock text -- 192.0.2.7\n"), "failed\nnothing was held against it\n");
    assert_string_equal(control("auth flush text\n"), "ok\ncredentials of 0 accounts are forgotten\n");
    assert_string_equal(control("auth flush\n"), "{\"ok\":true,\"accounts\":0}\n");
    assert_string_equal(control("unlock\n"), "{\"ok\":false}\n");
}

static void draining_is_unhealthy(void **state)
{
    uv_async_send(&drainer);
    usleep(50000);
    assert_memory_equal(http("GET /health HTTP/1.1\r\n\r\n"), "HTTP/1.1 503", 12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages),
        cmocka_unit_test(refusals),
        cmocka_unit_test(commands),
        cmocka_unit_test(guard_commands),
        cmocka_unit_test(draining_is_unhealthy),
    };

    return cmocka_run_group_tests(tests, start, stop);
}
