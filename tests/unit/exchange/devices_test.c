/* The list of devices: bounded, most recent first; and the warning when long polls get short. */
#include "exchange_test.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <postern/devices.h>
#include <postern/log.h>

static struct sockaddr_in client = {.sin_family = AF_INET};

static void note(const char *user, const char *id, int64_t at, uint64_t held_ms, bool whole)
{
    struct device_seen s = {.user = str_of(user),
                            .id = str_of(id),
                            .type = STR("iPhone"),
                            .agent = STR("agent"),
                            .command = STR("Ping"),
                            .client = (struct sockaddr *)&client,
                            .protocol = 141,
                            .status = 200,
                            .held_ms = held_ms,
                            .held_to_the_end = whole};

    devices_note(&s, at);
}

struct seen {
    struct device last;
    size_t n;
    char first[65];
};

static void look(void *ctx, const struct device *d)
{
    struct seen *s = ctx;

    if (s->n++ == 0)
        snprintf(s->first, sizeof(s->first), "%s", d->id);
    s->last = *d;
}

static void listed(void **state)
{
    struct seen s = {.n = 0};

    devices_forget();
    note("Alice", "one", 100, 0, false);
    note("bob", "two", 101, 0, false);
    note("ALICE", "one", 160, 5000, true);
    assert_int_equal(devices_count(), 2);
    devices_each(STR("alice"), 10, look, &s);
    assert_int_equal(s.n, 1);
    assert_string_equal(s.last.user, "alice");
    assert_int_equal(s.last.first_s, 100);
    assert_int_equal(s.last.last_s, 160);
    assert_int_equal(s.last.requests, 2);
    assert_int_equal(s.last.polls, 1);
    assert_int_equal(s.last.held_s, 5);
    s.n = 0;
    devices_each(STR_NULL, 1, look, &s);
    assert_int_equal(s.n, 1);
    assert_string_equal(s.first, "one"); /* most recently seen */
}

static void over_long(void **state)
{
    char name[300];
    struct seen s = {.n = 0};

    memset(name, 'x', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    devices_forget();
    note(name, name, 1, 0, false);
    note(name, name, 2, 0, false);
    devices_each(STR_NULL, 10, look, &s);
    assert_int_equal(s.n, 1);
    assert_int_equal(strlen(s.last.user), 64);
}

static void bounded(void **state)
{
    char id[32];
    struct seen s = {.n = 0};

    devices_forget();
    note("alice", "the oldest", 1, 0, false);
    note("alice", "kept", 2, 0, false);
    for (unsigned i = 0; i + 2 < DEVICES_MAX; i++) {
        snprintf(id, sizeof(id), "d%u", i);
        note("bob", id, 3, 0, false);
    }
    assert_int_equal(devices_count(), DEVICES_MAX);
    note("alice", "kept", 4, 0, false);
    note("carol", "new", 5, 0, false);
    assert_int_equal(devices_count(), DEVICES_MAX);
    devices_each(STR("alice"), 10, look, &s);
    assert_int_equal(s.n, 1); /* the longest unseen has gone, the other stays */
    assert_string_equal(s.last.id, "kept");
    devices_forget();
    assert_int_equal(devices_count(), 0);
}

static unsigned warnings(const char *path)
{
    char line[1024];
    unsigned n = 0;
    FILE *f = fopen(path, "r");

    assert_non_null(f);
    while (fgets(line, sizeof(line), f) != NULL)
        n += strstr(line, "PO-EAS-0002") != NULL;
    fclose(f);
    return n;
}

static void polls(unsigned n, int64_t at, uint64_t held_ms, bool whole)
{
    for (unsigned i = 0; i < n; i++)
        note("alice", "one", at, held_ms, whole);
}

static void short_heartbeats(void **state)
{
    char path[] = "/tmp/devices-test-XXXXXX", error[128];
    int fd = mkstemp(path);
    struct log_options o = {.event_path = path, .access_path = "off", .level = LOG_INFO};

    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(log_start(&o, error, sizeof(error)), 0);
    devices_forget();
    polls(199, 10000, 100000, false);
    assert_int_equal(devices_heartbeat_s(), 0); /* too few to judge */
    polls(1, 10000, 100000, false);
    assert_int_equal(devices_heartbeat_s(), 100);
    polls(300, 10001, 100000, false); /* within the hour: said once */
    polls(300, 13000, 900000, false); /* long again */
    assert_int_equal(devices_heartbeat_s(), 900);
    polls(300, 20000, 100000, true); /* short because there was mail */
    polls(300, 20001, 100000, false);
    log_stop();
    assert_int_equal(warnings(path), 2);
    unlink(path);
    devices_forget();
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(listed), cmocka_unit_test(over_long),
                                       cmocka_unit_test(bounded), cmocka_unit_test(short_heartbeats)};

    return cmocka_run_group_tests_name("devices", tests, NULL, NULL);
}
