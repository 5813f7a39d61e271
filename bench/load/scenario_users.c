/* Who the clients are: names by a pattern, or from a file. */
#include <string.h>
#include "scenario_int.h"

static uint64_t count_lines(struct str bytes)
{
    uint64_t n = 1;
    for (size_t i = 0; i < bytes.n; i++)
        n += bytes.p[i] == '\n';
    return n;
}

/* NAME:PASSWORD; the password may hold further colons. false: it is no such line. */
static bool take_line(struct option_reader *r, struct scenario *s, struct str line)
{
    struct str name;
    if (line.n && line.p[line.n - 1] == '\r')
        line.n--;
    if (!line.n || line.p[0] == '#')
        return true;
    if (!memchr(line.p, ':', line.n) || !str_next(&line, ':', &name) || !name.n)
        return false;
    struct credential *c = &s->known[s->known_n++];
    c->name = conf_copy(r->memory, name).p;
    c->password = conf_copy(r->memory, line).p;
    return c->name && c->password;
}

/* The name as written: from the folder that postern-load runs in. */
void scenario_credentials(struct option_reader *r, struct scenario *s, const struct conf_node *at)
{
    struct str bytes, line;
    const char *why = "no memory";
    if (s->user) {
        REFUSE(r, at, "`credentials` and `user`: remove one of them");
        return;
    }
    if (conf_slurp(r->memory, s->credentials, &bytes, &why) != 0 ||
        !(s->known = conf_alloc(r->memory, count_lines(bytes) * sizeof *s->known))) {
        REFUSE(r, at, "`credentials`: %s: %s", s->credentials, why);
        return;
    }
    for (uint64_t number = 1; str_next(&bytes, '\n', &line); number++)
        if (!take_line(r, s, line))
            REFUSE(r, at, "`credentials`: %s:%llu: a line must be NAME:PASSWORD", s->credentials,
                   (unsigned long long)number);
    if (!s->known_n)
        REFUSE(r, at, "`credentials`: %s names nobody: a line must be NAME:PASSWORD", s->credentials);
}

/* '%' in a name or password stands for the number of the user. */
static void expand(const char *from, uint64_t number, char *to, size_t size)
{
    size_t n = 0;
    for (; *from && n + 21 < size; from++)
        if (*from == '%')
            n += (size_t)snprintf(to + n, size - n, "%llu", (unsigned long long)number);
        else
            to[n++] = *from;
    to[n] = 0;
}

bool scenario_user(const struct scenario *s, uint64_t number, char *name, size_t name_size, char *password,
                   size_t password_size)
{
    if (s->users)
        number %= s->users;
    if (s->known_n) {
        const struct credential *c = &s->known[number % s->known_n];
        snprintf(name, name_size, "%s", c->name);
        snprintf(password, password_size, "%s", c->password);
        return true;
    }
    expand(s->user ? s->user : "user%", number, name, name_size);
    if (s->user)
        expand(s->password, number, password, password_size);
    return s->user != NULL;
}
