/*
 * Bodies framed towards the other side.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <setjmp.h>
#include <string.h>
#include <cmocka.h>

#include <postern/body.h>

struct fixture {
    struct pool chunks;
    struct arena arena;
    struct message m;
    struct body_out o;
    char out[4096];
    size_t n;
};

static int setup(void **state)
{
    static struct fixture f;

    memset(&f, 0, sizeof(f));
    pool_init(&f.chunks, 4096, 4);
    arena_init(&f.arena, &f.chunks, 1u << 20);
    message_init(&f.m, &f.arena, true);
    f.m.status = 200;
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    arena_release(&f->arena);
    pool_destroy(&f->chunks);
    return 0;
}

static const char *value(struct fixture *f, enum field_id id)
{
    static char text[64];
    const struct field *found = message_find(&f->m, id);

    if (found == NULL)
        return "-";
    snprintf(text, sizeof(text), "%.*s", STR_ARG(found->value));
    return text;
}

static void gather(struct fixture *f, const struct iovec *iov, int n)
{
    for (int i = 0; i < n; i++) {
        memcpy(f->out + f->n, iov[i].iov_base, iov[i].iov_len);
        f->n += iov[i].iov_len;
    }
}

static int encode(struct fixture *f, struct str data)
{
    struct iovec iov[BODY_IOV_MAX];
    char frame[BODY_FRAME_MAX];
    int n = body_encode(&f->o, data, frame, iov);

    gather(f, iov, n);
    return n;
}

static int finish(struct fixture *f)
{
    struct iovec iov[BODY_IOV_MAX];
    int n = body_finish(&f->o, iov);

    gather(f, iov, n);
    return n;
}

static void assert_out(struct fixture *f, const char *wanted)
{
    assert_int_equal(f->n, strlen(wanted));
    assert_memory_equal(f->out, wanted, f->n);
}

static void begin(struct fixture *f, enum body_framing framing, uint64_t length, uint8_t peer_minor)
{
    f->m.framing = framing;
    f->m.content_length = length;
    assert_int_equal(body_out_begin(&f->o, &f->m, peer_minor), 0);
}

static void test_length(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(message_add(&f->m, FIELD_ID_CONTENT_LENGTH, STR("007")), 0);
    begin(f, BODY_LENGTH, 7, 1);
    assert_string_equal(value(f, FIELD_ID_CONTENT_LENGTH), "7");
    assert_int_equal(encode(f, STR("")), 0);
    assert_int_equal(encode(f, STR("hell")), 1);
    assert_int_equal(finish(f), -1);
    assert_int_equal(encode(f, STR("o wo")), -1);
    assert_int_equal(encode(f, STR("o w")), 1);
    assert_int_equal(finish(f), 0);
    assert_int_equal(encode(f, STR("x")), -1);
    assert_out(f, "hello w");
}

static void test_chunked(void **state)
{
    struct fixture *f = *state;
    char big[300];

    memset(big, 'x', sizeof(big));
    assert_int_equal(message_add(&f->m, FIELD_ID_TRANSFER_ENCODING, STR("Chunked")), 0);
    begin(f, BODY_CHUNKED, 0, 1);
    assert_string_equal(value(f, FIELD_ID_TRANSFER_ENCODING), "chunked");
    assert_string_equal(value(f, FIELD_ID_CONTENT_LENGTH), "-");
    assert_int_equal(encode(f, STR("hello")), 3);
    assert_int_equal(encode(f, STR("")), 0); /* an empty chunk would be the last one */
    assert_int_equal(encode(f, STR(" world!")), 3);
    assert_int_equal(finish(f), 1);
    assert_int_equal(finish(f), 0);
    assert_int_equal(encode(f, STR("x")), -1);
    assert_out(f, "5\r\nhello\r\n7\r\n world!\r\n0\r\n\r\n");
    f->n = 0;
    begin(f, BODY_CHUNKED, 0, 1);
    assert_int_equal(encode(f, (struct str){big, sizeof(big)}), 3);
    assert_memory_equal(f->out, "12c\r\nxxx", 8);
    assert_int_equal(f->n, 5 + 300 + 2);
}

static void test_http10_gets_no_chunks(void **state)
{
    struct fixture *f = *state;

    begin(f, BODY_CHUNKED, 0, 0);
    assert_int_equal(f->o.framing, BODY_CLOSE);
    assert_string_equal(value(f, FIELD_ID_TRANSFER_ENCODING), "-");
    assert_int_equal(encode(f, STR("hello")), 1);
    assert_int_equal(finish(f), 0);
    assert_out(f, "hello");
}

static void test_close(void **state)
{
    struct fixture *f = *state;

    begin(f, BODY_CLOSE, 0, 1);
    assert_int_equal(f->o.framing, BODY_CHUNKED);
    assert_string_equal(value(f, FIELD_ID_TRANSFER_ENCODING), "chunked");
    begin(f, BODY_CLOSE, 0, 0);
    assert_int_equal(f->o.framing, BODY_CLOSE);
    assert_string_equal(value(f, FIELD_ID_TRANSFER_ENCODING), "-");
}

static void test_none(void **state)
{
    static const struct {
        int status;
        const char *length, *kept;
    } cases[] = {{200, "500", "500"}, {304, "77", "77"}, {204, "0", "0"},
                 {204, "5", "-"},     {101, "0", "-"},   {103, "5", "-"}};
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        message_init(&f->m, &f->arena, true);
        f->m.status = cases[i].status;
        assert_int_equal(message_add(&f->m, FIELD_ID_CONTENT_LENGTH, str_of(cases[i].length)), 0);
        begin(f, BODY_NONE, 0, 1);
        assert_string_equal(value(f, FIELD_ID_CONTENT_LENGTH), cases[i].kept);
        assert_int_equal(encode(f, STR("x")), -1);
        assert_int_equal(finish(f), 0);
    }
    assert_int_equal(f->n, 0);
}

static void test_large_length(void **state)
{
    struct fixture *f = *state;

    begin(f, BODY_LENGTH, INT64_MAX, 1);
    assert_string_equal(value(f, FIELD_ID_CONTENT_LENGTH), "9223372036854775807");
    assert_int_equal(encode(f, STR("x")), 1);
    assert_int_equal(f->o.left, INT64_MAX - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_length, setup, teardown),
        cmocka_unit_test_setup_teardown(test_chunked, setup, teardown),
        cmocka_unit_test_setup_teardown(test_http10_gets_no_chunks, setup, teardown),
        cmocka_unit_test_setup_teardown(test_close, setup, teardown),
        cmocka_unit_test_setup_teardown(test_none, setup, teardown),
        cmocka_unit_test_setup_teardown(test_large_length, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
