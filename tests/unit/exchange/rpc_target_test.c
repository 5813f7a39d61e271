/* "name:port" of rpcproxy.dll (MS-RPCH 2.2.2), and the lengths that channels announce (2.1.2.1). */
#include "exchange_test.h"

#include <postern/rpc_target.h>

static void targets(void **state)
{
    struct rpc_target t;

    assert_true(rpc_target_parse(STR("cas1.corp.example.com:6001"), &t));
    assert_str(t.name, "cas1.corp.example.com");
    assert_int_equal(t.port, 6001);
    assert_null(t.mailbox.p);
    assert_true(rpc_target_parse(STR("CAS1:6004"), &t));
    assert_true(rpc_target_parse(STR("10.0.0.1:6001"), &t));
    assert_true(rpc_target_parse(STR("[2001:db8::1]:6001"), &t));
    assert_str(t.name, "[2001:db8::1]");
    assert_true(rpc_target_parse(STR("5f7ff2b4-3f6a-4c28-8a6b-6d1cc5b0a3A1@example.com:6001"), &t));
    assert_str(t.mailbox, "5f7ff2b4-3f6a-4c28-8a6b-6d1cc5b0a3A1");
    assert_str(t.domain, "example.com");
}

static void refused(void **state)
{
    static const char *const bad[] = {
        "",
        "a",
        "a:",
        ":6001",
        "a:0",
        "a:65536",
        "a:6001x",
        "a:+6001",
        "a:00000001",
        "a b:6001",
        "a%2eb:6001",
        "a/b:6001",
        "a?b:6001",
        "a&b:6001",
        "a\\b:6001",
        ".a:6001",
        "a..b:6001",
        "-a:6001",
        "[::1:6001",
        "[]:6001",
        "[g::1]:6001",
        "user@a:6001",
        "@a:6001",
        "a@b:6001",
        "5f7ff2b4-3f6a-4c28-8a6b-6d1cc5b0a3a@example.com:6001",
        "5f7ff2b4-3f6a-4c28-8a6b-6d1cc5b0a3ax@example.com:6001",
        "5f7ff2b4-3f6a-4c28-8a6b-6d1cc5b0a3a1@:6001",
        "5f7ff2b4-3f6a-4c28-8a6b-6d1cc5b0a3a1@a@b:6001",
    };
    struct rpc_target t;
    char name[RPC_NAME_MAX + 8];

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (rpc_target_parse(str_of(bad[i]), &t))
            fail_msg("taken: %s", bad[i]);
    }
    assert_false(rpc_target_parse(STR_NULL, &t));
    memset(name, 'a', sizeof(name));
    memcpy(name + RPC_NAME_MAX, ":6001", 5);
    assert_true(rpc_target_parse((struct str){name, RPC_NAME_MAX + 5}, &t));
    memcpy(name + RPC_NAME_MAX, "a:6001", 6);
    assert_false(rpc_target_parse((struct str){name, RPC_NAME_MAX + 6}, &t));
}

static void lengths(void **state)
{
    static const struct {
        bool in;
        uint64_t n;
        enum rpc_request kind;
    } rows[] = {
        {true, 0, RPC_REQUEST_ECHO},
        {false, 0, RPC_REQUEST_ECHO},
        {true, 16, RPC_REQUEST_ECHO},
        {false, 16, RPC_REQUEST_ECHO},
        {true, 17, RPC_REQUEST_BAD},
        {false, 17, RPC_REQUEST_BAD},
        {false, 76, RPC_REQUEST_OUT},
        {false, 75, RPC_REQUEST_BAD},
        {false, 120, RPC_REQUEST_OUT_REPLACING},
        {false, 121, RPC_REQUEST_BAD},
        {true, 76, RPC_REQUEST_BAD},
        {true, (128 << 10) - 1, RPC_REQUEST_BAD},
        {true, 128 << 10, RPC_REQUEST_IN},
        {true, 1u << 30, RPC_REQUEST_IN},
        {true, UINT64_C(2) << 30, RPC_REQUEST_IN},
        {true, (UINT64_C(2) << 30) + 1, RPC_REQUEST_BAD},
        {false, 1u << 30, RPC_REQUEST_BAD},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_int_equal(rpc_request_of(rows[i].in, rows[i].n), rows[i].kind);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(targets), cmocka_unit_test(refused),
                                       cmocka_unit_test(lengths)};

    return cmocka_run_group_tests_name("rpc_target", tests, NULL, NULL);
}
