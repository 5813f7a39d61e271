/*
 * Heads written anew from their validated parts, in the order and case in which they came.
 */
#include <postern/h1.h>

static char *put(char *at, struct str s)
{
    if (s.n > 0)
        memcpy(at, s.p, s.n);
    return at + s.n;
}

static size_t head_size(const struct message *m)
{
    size_t n = sizeof("HTTP/1.1 ddd \r\n\r\n") + m->method_text.n + m->target_text.n + m->reason.n;

    for (unsigned i = 0; i < m->fields_n; i++)
        if (!m->fields[i].dropped)
            n += m->fields[i].name.n + m->fields[i].value.n + sizeof(": \r\n") - 1;
    return n + 2;
}

static char *put_start_line(char *at, const struct message *m)
{
    if (m->response) {
        char status[4] = {(char)('0' + m->status / 100 % 10), (char)('0' + m->status / 10 % 10),
                          (char)('0' + m->status % 10), ' '};
        at = put(at, STR("HTTP/1.1 "));
        at = put(at, (struct str){status, sizeof(status)});
        return put(put(at, m->reason), STR("\r\n"));
    }
    at = put(put(at, m->method_text), STR(" "));
    return put(put(at, m->target_text), STR(" HTTP/1.1\r\n"));
}

struct str h1_write_head(const struct message *m, struct arena *to)
{
    char *p = arena_bytes(to, head_size(m)), *at = p;

    if (p == NULL)
        return STR_NULL;
    at = put_start_line(at, m);
    for (unsigned i = 0; i < m->fields_n; i++) {
        const struct field *f = &m->fields[i];
        if (f->dropped)
            continue;
        at = put(put(at, f->name), STR(": "));
        at = put(put(at, f->value), STR("\r\n"));
    }
    at = put(at, STR("\r\n"));
    return (struct str){p, (size_t)(at - p)};
}
