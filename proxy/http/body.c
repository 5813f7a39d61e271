/*
 * Bodies written: no frame, a counted one, or chunks of our own.
 */
#include <assert.h>
#include <stdio.h>

#include <postern/body.h>

static int set_length(struct message *m, uint64_t n)
{
    char digits[STR_U64_MAX];
    struct str text = arena_str(m->arena, (struct str){digits, str_put_u64(n, digits)});

    return text.p == NULL ? -1 : message_set(m, FIELD_ID_CONTENT_LENGTH, text);
}

/* What the head says about a body that does not follow: HEAD and 304 tell the length that GET would have;
 * others must not tell one (RFC 9110 8.6), and "0" is what old servers send with 204. */
static void keep_or_drop_length(struct message *m)
{
    const struct field *f = message_find(m, FIELD_ID_CONTENT_LENGTH);

    if (f == NULL || !m->response)
        return;
    if (m->status < 200 || (m->status == 204 && !str_eq(f->value, STR("0"))))
        message_drop(m, FIELD_ID_CONTENT_LENGTH);
}

static int begin_chunked(struct body_out *o, struct message *m, uint8_t peer_minor)
{
    message_drop(m, FIELD_ID_CONTENT_LENGTH);
    if (peer_minor == 0) {
        assert(m->response);
        o->framing = BODY_CLOSE;
        return 0;
    }
    o->framing = BODY_CHUNKED;
    return message_add(m, FIELD_ID_TRANSFER_ENCODING, STR("chunked"));
}

int body_out_begin(struct body_out *o, struct message *m, uint8_t peer_minor)
{
    *o = (struct body_out){.framing = m->framing};
    message_drop(m, FIELD_ID_TRANSFER_ENCODING);
    switch (m->framing) {
    case BODY_NONE:
        keep_or_drop_length(m);
        return 0;
    case BODY_LENGTH:
        o->left = m->content_length;
        return set_length(m, m->content_length);
    case BODY_CHUNKED:
    case BODY_CLOSE: /* chunks tell the receiver of a truncation, the closing connection could not */
        return begin_chunked(o, m, peer_minor);
    }
    return -1;
}

static int encode_chunk(struct str data, char *frame, struct iovec *iov)
{
    int n = snprintf(frame, BODY_FRAME_MAX, "%zx\r\n", data.n);

    iov[0] = (struct iovec){frame, (size_t)n};
    iov[1] = (struct iovec){(char *)data.p, data.n};
    iov[2] = (struct iovec){(char *)"\r\n", 2};
    return 3;
}

int body_encode(struct body_out *o, struct str data, char *frame, struct iovec *iov)
{
    if (data.n == 0)
        return 0;
    if (o->ended || o->framing == BODY_NONE)
        return -1;
    if (o->framing == BODY_CHUNKED)
        return encode_chunk(data, frame, iov);
    if (o->framing == BODY_LENGTH) {
        if (data.n > o->left)
            return -1;
        o->left -= data.n;
    }
    iov[0] = (struct iovec){(char *)data.p, data.n};
    return 1;
}

int body_finish(struct body_out *o, struct iovec *iov)
{
    bool again = o->ended;

    if (o->framing == BODY_LENGTH && o->left > 0)
        return -1;
    o->ended = true;
    if (again || o->framing != BODY_CHUNKED)
        return 0;
    iov[0] = (struct iovec){(char *)"0\r\n\r\n", 5};
    return 1;
}
