/* The two forms of the ActiveSync query, and what must not be taken for one (MS-ASHTTP 2.2.1.1.1). */
#include "exchange_test.h"

#include <postern/activesync.h>

static bool parse(struct memory *m, const char *text, struct activesync_query *q)
{
    return activesync_query_parse(str_of(text), &m->arena, q);
}

static void plain(void **state)
{
    struct memory m;
    struct activesync_query q;

    memory_open(&m);
    assert_true(parse(&m, "Cmd=Sync&User=CORP%5Calice&DeviceId=ApplDX3&DeviceType=iPhone", &q));
    assert_false(q.base64);
    assert_int_equal(q.command, ACTIVESYNC_SYNC);
    assert_str(q.user, "CORP\\alice");
    assert_str(q.device_id, "ApplDX3");
    assert_str(q.device_type, "iPhone");
    assert_int_equal(q.version, 0);
    assert_true(parse(&m, "devicetype=x&cmd=pInG&deviceid=a%2Bb", &q));
    assert_int_equal(q.command, ACTIVESYNC_PING);
    assert_str(q.device_id, "a+b");
    assert_null(q.user.p);
    assert_true(parse(&m, "Cmd=GetAttachment&AttachmentName=Inbox%2fx%3d&User=a+b", &q));
    assert_str(q.user, "a+b");                                        /* "+" stands for itself */
    assert_true(parse(&m, "User=alice&DeviceId=1&DeviceType=2", &q)); /* OPTIONS */
    assert_int_equal(q.command, ACTIVESYNC_NONE);
    assert_true(activesync_query_parse(STR_NULL, &m.arena, &q));
    assert_int_equal(q.command, ACTIVESYNC_NONE);
    memory_close(&m);
}

/* As in the open specification's example: 14.1, Ping, en-US, "abcd", no key, "WP". */
static void base64(void **state)
{
    struct memory m;
    struct activesync_query q;

    memory_open(&m);
    assert_true(parse(&m, "jRIJBARhYmNkAAJXUA==", &q));
    assert_true(q.base64);
    assert_int_equal(q.version, 141);
    assert_int_equal(q.command, ACTIVESYNC_PING);
    assert_int_equal(q.locale, 0x0409);
    assert_str(q.device_id, "abcd");
    assert_str(q.device_type, "WP");
    assert_false(q.has_policy_key);
    /* escaped; binary id; policy key; options and user behind it */
    assert_true(parse(&m, "jAAJBAQBAgP%2FBHiWtU0CV1AHAQEIBWFsaWNl", &q));
    assert_int_equal(q.version, 140);
    assert_int_equal(q.command, ACTIVESYNC_SYNC);
    assert_str(q.device_id, "010203FF");
    assert_true(q.has_policy_key);
    assert_int_equal(q.policy_key, 0x4db59678);
    assert_str(q.user, "alice");
    memory_close(&m);
}

static void refused(void **state)
{
    static const char *const bad[] = {
        "Cmd=Sync&Cmd=Ping",            /* twice */
        "Cmd=Sync&%43md=Ping",          /* twice, once in disguise */
        "Cmd=Nope&DeviceId=1",          /* unknown */
        "Cmd=&DeviceId=1",              /* empty */
        "Cmd=Sync&DeviceId=",           /* empty */
        "Cmd=Sync&DeviceId=a%00b",      /* NUL */
        "Cmd=Sync&DeviceId=a%20b",      /* blank */
        "Cmd=Sync&DeviceType=a%2Fb",    /* not a word */
        "Cmd=Sync&User=a%0Ab",          /* control */
        "Cmd=Sync&DeviceId=%4",         /* half an escape */
        "Cmd=Sync&DeviceId=%zz",        /* no escape */
        "Cmd=Sync&User",                /* no value */
        "jRIJBARhYmNkAAJXUA=",          /* padding */
        "jRIJBARhYmNkAAJXU!==",         /* alphabet */
        "jRIJBP9hYmNkAAJXUA==",         /* length beyond the end */
        "jWMJBARhYmNkAAJXUA==",         /* command 99 */
        "ChIJBARhYmNkAAJXUA==",         /* version 1.0 */
        "jRIJBARhYmNkAwECAwJXUA==",     /* policy key of three bytes */
        "jRIJBARhYmNkAAJXUAcBAQcBAQ==", /* a tag twice */
        "jRIJBARhYmNkAAJXUAkBAQ==",     /* an unknown tag */
        "jRIJBARhYmNkAAJXUAcF",         /* a tag without its value */
        "jRI=",                         /* ends early */
    };
    struct memory m;
    struct activesync_query q;
    char longer[400] = "Cmd=Sync&DeviceId=";

    memory_open(&m);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (parse(&m, bad[i], &q))
            fail_msg("taken: %s", bad[i]);
    }
    memset(longer + 18, 'x', ACTIVESYNC_ID_MAX);
    assert_true(parse(&m, longer, &q));
    longer[18 + ACTIVESYNC_ID_MAX] = 'x';
    assert_false(parse(&m, longer, &q));
    memory_close(&m);
}

static void every_code(void **state)
{
    for (int code = 0; code < 24; code++) {
        enum activesync_command c = activesync_command_coded(code);

        assert_int_not_equal(c, ACTIVESYNC_NONE);
        assert_int_equal(activesync_command_named(activesync_command_name(c)), c);
    }
    assert_int_equal(activesync_command_coded(24), ACTIVESYNC_NONE);
    assert_int_equal(activesync_command_coded(-1), ACTIVESYNC_NONE);
    assert_true(activesync_command_flags(ACTIVESYNC_PING) & ACTIVESYNC_HANGS);
    assert_false(activesync_command_flags(ACTIVESYNC_SEND_MAIL) & ACTIVESYNC_HANGS);
}

static void versions(void **state)
{
    char text[8];

    assert_int_equal(activesync_version_of(STR("2.5")), 25);
    assert_int_equal(activesync_version_of(STR(" 16.1 ")), 161);
    assert_int_equal(activesync_version_of(STR("16")), 0);
    assert_int_equal(activesync_version_of(STR("a.b")), 0);
    assert_int_equal(activesync_version_of(STR("99.1")), 0);
    assert_int_equal(activesync_version_of(STR("14.10")), 0);
    activesync_version_text(141, text);
    assert_string_equal(text, "14.1");
    activesync_version_text(0, text);
    assert_string_equal(text, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain),      cmocka_unit_test(base64),   cmocka_unit_test(refused),
        cmocka_unit_test(every_code), cmocka_unit_test(versions),
    };

    return cmocka_run_group_tests_name("activesync", tests, NULL, NULL);
}
