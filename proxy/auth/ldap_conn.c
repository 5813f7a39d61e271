/*
 * One LDAP connection: libldap above, TLS below.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>
#include <lber.h>
#include <ldap.h>
#include <openldap.h>
#include <poll.h>

#include "ldap_conn.h"
#include "ldap_frame.h"
#include "login.h"

#define REFERENCES_MAX 64 /* search continuations that are passed over */

/* Should libldap ever think of connecting by itself, it has nowhere to go. */
#define NOWHERE "ldapi://%2Fdev%2Fnull%2Fpostern"

struct ldap_conn {
    LDAP *ld;
    int fd;
    struct tls_socket *tls; /* NULL before StartTLS */
    uint64_t due_ns;
    int id; /* of the question that waits for answers */
    struct frame {
        unsigned char *p; /* NULL: nothing is held */
        size_t n, at;
    } frame;
    bool secret; /* what is written next holds a password */
    int error;   /* errno of the socket, 0: none */
    enum auth_detail fault;
};

/* ---- bytes, called by libldap ---- */

static int io_setup(Sockbuf_IO_Desc *d, void *arg)
{
    d->sbiod_pvt = arg;
    return 0;
}

static int io_nothing(Sockbuf_IO_Desc *d)
{
    return 0;
}

static int io_ctrl(Sockbuf_IO_Desc *d, int option, void *arg)
{
    struct ldap_conn *c = d->sbiod_pvt;

    return option == LBER_SB_OPT_DATA_READY &&
           (c->frame.p != NULL || (c->tls != NULL && tls_socket_pending(c->tls)));
}

static ssize_t plain_read(struct ldap_conn *c, void *p, size_t n)
{
    int error = socket_wait(c->fd, POLLIN, c->due_ns);
    ssize_t got = error == 0 ? read(c->fd, p, n) : error;

    return error == 0 && got < 0 ? -errno : got;
}

static ssize_t plain_write(struct ldap_conn *c, const char *p, size_t n)
{
    ssize_t put = 0;

    for (size_t at = 0; at < n; at += (size_t)put) {
        int error = socket_wait(c->fd, POLLOUT, c->due_ns);
        put = error == 0 ? write(c->fd, p + at, n - at) : error;
        if (put < 0)
            return error != 0 ? error : -errno;
    }
    return (ssize_t)n;
}

static ber_slen_t io_result(struct ldap_conn *c, ssize_t n)
{
    if (n > 0)
        return n;
    c->error = n == 0 ? ECONNRESET : (int)-n;
    errno = c->error;
    return n == 0 ? 0 : -1;
}

/* The clock is looked at every time: a server that never stops sending would else be read for ever. */
static int read_full(struct ldap_conn *c, unsigned char *p, size_t n)
{
    ssize_t got = 0;

    for (size_t at = 0; at < n; at += (size_t)got) {
        if (uv_hrtime() >= c->due_ns)
            return -ETIMEDOUT;
        got = c->tls != NULL ? tls_socket_read(c->tls, p + at, n - at, c->due_ns)
                             : plain_read(c, p + at, n - at);
        if (got <= 0)
            return got == 0 ? -ECONNRESET : (int)got;
    }
    return 0;
}

static int frame_head(struct ldap_conn *c, unsigned char head[LDAP_FRAME_HEAD_MAX], size_t *ret_body)
{
    int n = 0, error;

    for (size_t have = 0; n == 0; have++) {
        error = read_full(c, head + have, 1);
        if (error != 0)
            return error;
        n = ldap_frame_head(head, have + 1, ret_body);
    }
    return n > 0 ? n : -EPROTO;
}

/* A message that answers the question; number 0 is the server's own and in practice a farewell (RFC 4511 4.4.1). */
static int frame_read(struct ldap_conn *c)
{
    unsigned char head[LDAP_FRAME_HEAD_MAX];
    size_t body = 0;
    int n = frame_head(c, head, &body), error;
    long number;

    if (n < 0)
        return n;
    c->frame = (struct frame){.p = malloc((size_t)n + body), .n = (size_t)n + body};
    if (c->frame.p == NULL)
        return -ENOMEM;
    memcpy(c->frame.p, head, (size_t)n);
    error = read_full(c, c->frame.p + n, body);
    number = ldap_frame_number(c->frame.p + n, body);
    if (error != 0 || number == c->id)
        return error;
    return number == 0 ? -ECONNRESET : -EPROTO;
}

static void frame_drop(struct ldap_conn *c)
{
    free(c->frame.p);
    c->frame = (struct frame){.p = NULL};
}

static ber_slen_t io_read(Sockbuf_IO_Desc *d, void *p, ber_len_t n)
{
    struct ldap_conn *c = d->sbiod_pvt;
    int error = c->error != 0 ? -c->error : c->frame.p == NULL ? frame_read(c) : 0;

    if (error != 0) {
        frame_drop(c);
        return io_result(c, error);
    }
    if (n > c->frame.n - c->frame.at)
        n = c->frame.n - c->frame.at;
    memcpy(p, c->frame.p + c->frame.at, n);
    c->frame.at += n;
    if (c->frame.at == c->frame.n)
        frame_drop(c);
    return (ber_slen_t)n;
}

static ber_slen_t io_write(Sockbuf_IO_Desc *d, void *p, ber_len_t n)
{
    struct ldap_conn *c = d->sbiod_pvt;
    ssize_t put = c->error != 0    ? -c->error
                  : c->tls != NULL ? tls_socket_write(c->tls, p, n, c->due_ns)
                                   : plain_write(c, p, n);

    if (c->secret)
        explicit_bzero(p, n);
    return io_result(c, put);
}

static Sockbuf_IO conn_io = {io_setup, io_nothing, io_ctrl, io_read, io_write, io_nothing};

/* ---- waiting for answers ---- */

static bool conn_fail(struct ldap_conn *c, enum auth_detail fault)
{
    c->fault = fault;
    if (c->error == 0)
        c->error = EPIPE;
    return false;
}

/* What a result of libldap's own, not the server's, means. */
static bool conn_fail_local(struct ldap_conn *c)
{
    int code = LDAP_LOCAL_ERROR;

    ldap_get_option(c->ld, LDAP_OPT_RESULT_CODE, &code);
    if (c->error == ETIMEDOUT || code == LDAP_TIMEOUT)
        return conn_fail(c, AUTH_DETAIL_TIMED_OUT);
    if (c->error == ENOMEM || (c->error == 0 && code == LDAP_NO_MEMORY))
        return conn_fail(c, AUTH_DETAIL_NO_MEMORY);
    return conn_fail(c,
                     c->error == 0 || c->error == EPROTO ? AUTH_DETAIL_BAD_ANSWER : AUTH_DETAIL_UNREACHABLE);
}

static LDAPMessage *conn_wait(struct ldap_conn *c, int id)
{
    LDAPMessage *m = NULL;
    uint64_t now = uv_hrtime(), left = now < c->due_ns ? (c->due_ns - now) / 1000 : 0;
    struct timeval most = {(time_t)(left / 1000000), (suseconds_t)(left % 1000000)};
    int type;

    c->id = id;
    type = ldap_result(c->ld, id, LDAP_MSG_ONE, &most, &m);
    if (type > 0)
        return m;
    if (type == 0)
        c->error = ETIMEDOUT;
    (void)conn_fail_local(c);
    if (m != NULL)
        ldap_msgfree(m);
    return NULL;
}

static int policy_of(struct ldap_conn *c, LDAPControl **controls)
{
    LDAPControl *found = ldap_control_find(LDAP_CONTROL_PASSWORDPOLICYRESPONSE, controls, NULL);
    LDAPPasswordPolicyError error = PP_noError;
    ber_int_t expire, grace;

    if (found == NULL ||
        ldap_parse_passwordpolicy_control(c->ld, found, &expire, &grace, &error) != LDAP_SUCCESS)
        return -1;
    return error == PP_noError ? -1 : (int)error;
}

/* Takes the message. */
static bool conn_answer(struct ldap_conn *c, LDAPMessage *m, struct ldap_answer *ret)
{
    LDAPControl **controls = NULL;
    char *text = NULL;
    int rc = ldap_parse_result(c->ld, m, &ret->code, NULL, &text, NULL, &controls, 1);

    ret->policy = -1;
    ret->text[0] = '\0';
    if (rc == LDAP_SUCCESS) {
        ret->policy = controls != NULL ? policy_of(c, controls) : -1;
        if (text != NULL)
            snprintf(ret->text, sizeof(ret->text), "%s", text);
    }
    if (controls != NULL)
        ldap_controls_free(controls);
    ldap_memfree(text);
    return rc == LDAP_SUCCESS || conn_fail(c, AUTH_DETAIL_BAD_ANSWER);
}

static bool conn_expect(struct ldap_conn *c, int id, int type, struct ldap_answer *ret)
{
    LDAPMessage *m = conn_wait(c, id);

    if (m == NULL)
        return false;
    if (ldap_msgtype(m) == type)
        return conn_answer(c, m, ret);
    ldap_msgfree(m);
    return conn_fail(c, AUTH_DETAIL_BAD_ANSWER);
}

/* ---- opening ---- */

static int conn_tls(struct ldap_conn *c, const struct ldap_peer *p, char *why, size_t size)
{
    int error = tls_socket_open(p->trust, c->fd, p->name, c->due_ns, &c->tls, why, size);

    if (error == 0)
        return 0;
    c->fault = error == -ETIMEDOUT ? AUTH_DETAIL_TIMED_OUT
               : error == -EPROTO  ? AUTH_DETAIL_TLS_FAILED
                                   : AUTH_DETAIL_UNREACHABLE;
    return -1;
}

/* RFC 4511 4.14. Whatever is not a plain yes ends the connection: nothing is ever said outside TLS but this question. */
static int conn_start_tls(struct ldap_conn *c, const struct ldap_peer *p, char *why, size_t size)
{
    struct ldap_answer a;
    int id;

    snprintf(why, size, "StartTLS was not answered");
    if (ldap_start_tls(c->ld, NULL, NULL, &id) != LDAP_SUCCESS) {
        (void)conn_fail_local(c);
        return -1;
    }
    if (!conn_expect(c, id, LDAP_RES_EXTENDED, &a))
        return -1;
    if (a.code == LDAP_SUCCESS)
        return conn_tls(c, p, why, size);
    snprintf(why, size, "StartTLS was refused: %s (%d)", ldap_err2string(a.code), a.code);
    c->fault = AUTH_DETAIL_TLS_FAILED;
    return -1;
}

static bool conn_options(struct ldap_conn *c)
{
    int version = LDAP_VERSION3, never = LDAP_DEREF_NEVER, none = 0;
    ber_len_t most = LDAP_FRAME_MAX;
    Sockbuf *sb = NULL;

    if (ldap_get_option(c->ld, LDAP_OPT_SOCKBUF, &sb) != LDAP_OPT_SUCCESS || sb == NULL)
        return false;
    ber_sockbuf_ctrl(sb, LBER_SB_OPT_SET_MAX_INCOMING, &most);
    return ber_sockbuf_add_io(sb, &conn_io, LBER_SBIOD_LEVEL_PROVIDER, c) == 0 &&
           ldap_set_option(c->ld, LDAP_OPT_PROTOCOL_VERSION, &version) == LDAP_OPT_SUCCESS &&
           ldap_set_option(c->ld, LDAP_OPT_REFERRALS, LDAP_OPT_OFF) == LDAP_OPT_SUCCESS &&
           ldap_set_option(c->ld, LDAP_OPT_RESTART, LDAP_OPT_OFF) == LDAP_OPT_SUCCESS &&
           ldap_set_option(c->ld, LDAP_OPT_DEREF, &never) == LDAP_OPT_SUCCESS &&
           ldap_set_option(c->ld, LDAP_OPT_TIMELIMIT, &none) == LDAP_OPT_SUCCESS;
}

static int conn_set_up(struct ldap_conn *c, const struct ldap_peer *p, char *why, size_t size)
{
    c->fault = AUTH_DETAIL_NO_MEMORY;
    snprintf(why, size, "out of memory");
    if (!p->start_tls && conn_tls(c, p, why, size) < 0)
        return -1;
    if (ldap_init_fd(c->fd, LDAP_PROTO_EXT, NOWHERE, &c->ld) != LDAP_SUCCESS) {
        c->ld = NULL;
        return -1;
    }
    if (!conn_options(c))
        return -1;
    return p->start_tls ? conn_start_tls(c, p, why, size) : 0;
}

struct ldap_conn *ldap_conn_open(const struct ldap_peer *p, uint64_t due_ns, enum auth_detail *ret_fault,
                                 char *why, size_t why_size)
{
    struct ldap_conn *c = calloc(1, sizeof(*c));
    uint64_t most = uv_hrtime() + p->connect_ms * 1000000;

    *ret_fault = AUTH_DETAIL_NO_MEMORY;
    if (c == NULL)
        return NULL;
    c->due_ns = most < due_ns ? most : due_ns;
    c->fd = lookup_connect(p->lookup, c->due_ns, p->connect_ms);
    if (c->fd >= 0) {
        if (conn_set_up(c, p, why, why_size) == 0)
            return c;
        *ret_fault = c->fault;
        ldap_conn_close(c);
        return NULL;
    }
    *ret_fault = c->fd == -ETIMEDOUT ? AUTH_DETAIL_TIMED_OUT : AUTH_DETAIL_UNREACHABLE;
    snprintf(why, why_size, "%s", c->fd == -ENOENT ? "the name has no address" : strerror(-c->fd));
    free(c);
    return NULL;
}

void ldap_conn_close(struct ldap_conn *c)
{
    if (c == NULL)
        return;
    c->due_ns = 0;
    if (c->ld != NULL)
        ldap_unbind_ext(c->ld, NULL, NULL);
    frame_drop(c);
    tls_socket_free(c->tls);
    close(c->fd);
    free(c);
}

/* ---- operations ---- */

bool ldap_conn_bind(struct ldap_conn *c, const char *name, struct str password, uint64_t due_ns,
                    struct ldap_answer *ret)
{
    char oid[] = LDAP_CONTROL_PASSWORDPOLICYREQUEST;
    LDAPControl policy = {.ldctl_oid = oid}, *controls[] = {&policy, NULL};
    struct berval secret = {.bv_len = password.n, .bv_val = (char *)(uintptr_t)password.p};
    int id, rc;

    c->due_ns = due_ns;
    if (name[0] == '\0' || password.n == 0)
        return conn_fail(c, AUTH_DETAIL_INVALID);
    c->secret = true;
    rc = ldap_sasl_bind(c->ld, name, LDAP_SASL_SIMPLE, &secret, controls, NULL, &id);
    c->secret = false;
    if (rc != LDAP_SUCCESS)
        return conn_fail_local(c);
    return conn_expect(c, id, LDAP_RES_BIND, ret);
}

static bool entry_name(struct ldap_conn *c, LDAPMessage *m, char *dn, size_t size)
{
    char *text = ldap_get_dn(c->ld, m);
    size_t n = text != NULL ? strlen(text) : 0;
    bool good = n > 0 && n < size && login_is_text((struct str){text, n});

    if (good)
        memcpy(dn, text, n + 1);
    ldap_memfree(text);
    return good || conn_fail(c, AUTH_DETAIL_BAD_ANSWER);
}

/* One message of a search. 1: go on; 0: that was the last; -1: failed. */
static int search_message(struct ldap_conn *c, LDAPMessage *m, unsigned *n, char *dn, size_t size,
                          struct ldap_answer *ret)
{
    bool good = true;

    switch (ldap_msgtype(m)) {
    case LDAP_RES_SEARCH_RESULT:
        return conn_answer(c, m, ret) ? 0 : -1;
    case LDAP_RES_SEARCH_ENTRY:
        if (++*n > 2) /* the server was asked for two */
            good = conn_fail(c, AUTH_DETAIL_BAD_ANSWER);
        else if (*n == 1 && size > 0)
            good = entry_name(c, m, dn, size);
        break;
    case LDAP_RES_SEARCH_REFERENCE:
    case LDAP_RES_INTERMEDIATE:
        break;
    default:
        good = conn_fail(c, AUTH_DETAIL_BAD_ANSWER);
    }
    ldap_msgfree(m);
    return good ? 1 : -1;
}

bool ldap_conn_search(struct ldap_conn *c, const char *base, bool below, const char *filter, uint64_t due_ns,
                      unsigned *ret_n, char *dn, size_t size, struct ldap_answer *ret)
{
    char none[] = LDAP_NO_ATTRS, *attributes[] = {none, NULL};
    int id, going = 1;

    *ret_n = 0;
    c->due_ns = due_ns;
    if (ldap_search_ext(c->ld, base, below ? LDAP_SCOPE_SUBTREE : LDAP_SCOPE_BASE, filter, attributes, 0,
                        NULL, NULL, NULL, 2, &id) != LDAP_SUCCESS)
        return conn_fail_local(c);
    for (unsigned i = 0; going > 0; i++) {
        LDAPMessage *m = conn_wait(c, id);
        if (m == NULL)
            return false;
        if (i > REFERENCES_MAX) {
            ldap_msgfree(m);
            return conn_fail(c, AUTH_DETAIL_BAD_ANSWER);
        }
        going = search_message(c, m, ret_n, dn, size, ret);
    }
    return going == 0;
}

/* ---- for the owner ---- */

enum auth_detail ldap_conn_fault(const struct ldap_conn *c)
{
    return c->fault;
}

bool ldap_conn_is_quiet(const struct ldap_conn *c)
{
    struct pollfd p = {.fd = c->fd, .events = POLLIN};

    return c->error == 0 && poll(&p, 1, 0) == 0;
}

static void library_begin(void)
{
    LDAP *ld = NULL;

    if (ldap_initialize(&ld, NOWHERE) == LDAP_SUCCESS)
        ldap_unbind_ext(ld, NULL, NULL);
}

void ldap_conn_process_init(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, library_begin);
}
