/*
 * The embedded directory: lines "name:hash[:comment]". Empty lines and lines that begin with # are skipped.
 */
#include <stdlib.h>

#include <postern/secret.h>
#include <postern/verifier.h>

#include "user_hash.h"

/* A hash of a random password that nobody knows: what an unknown name is verified against in an empty file.
 */
#define DUMMY_HASH "$y$j9T$Gmx71sfAZtBmWV2PDEpCa1$nkv1HObkjLCahQvTmTRPoFo5eRyK4m4Khs8uZXMq4Z1"

struct user_row {
    char name[ACCOUNT_NAME_MAX + 1]; /* as account_normal makes it */
    char hash[USER_HASH_MAX];
    unsigned line;
};

struct user_file {
    struct user_row *rows; /* sorted by name */
    size_t n, room;
};

static int row_compare(const void *a, const void *b)
{
    const struct user_row *x = a, *y = b;
    int order = strcmp(x->name, y->name);

    return order != 0 ? order : (x->line > y->line) - (x->line < y->line);
}

static const char *name_fault(struct str name)
{
    if (name.n == 0)
        return "the name is empty";
    if (name.n > ACCOUNT_NAME_MAX)
        return "the name is longer than 256 octets";
    for (size_t i = 0; i < name.n; i++) {
        if ((unsigned char)name.p[i] < 0x20 || name.p[i] == 0x7f)
            return "the name holds a control character";
        if (name.p[i] == '\\' || name.p[i] == '@')
            return "write the name alone, without a domain";
    }
    return NULL;
}

static struct user_row *row_new(struct user_file *u)
{
    size_t room = u->room != 0 ? 2 * u->room : 16;
    struct user_row *rows;

    if (u->n == u->room) {
        rows = secret_alloc(room * sizeof(*rows));
        if (rows == NULL)
            return NULL;
        if (u->n > 0)
            memcpy(rows, u->rows, u->n * sizeof(*rows));
        secret_free(u->rows, u->room * sizeof(*rows));
        u->rows = rows;
        u->room = room;
    }
    return &u->rows[u->n];
}

static bool line_parse(struct user_file *u, struct str line, struct conf_mark where, struct conf_findings *f)
{
    const char *fault = NULL;
    struct str name, hash;
    struct user_row *row;

    if (!str_next(&line, ':', &name) || !str_next(&line, ':', &hash))
        fault = "the line is not name:hash";
    if (fault == NULL)
        fault = name_fault(name);
    if (fault == NULL && hash.n >= USER_HASH_MAX)
        fault = "the hash is too long";
    row = fault == NULL ? row_new(u) : NULL;
    if (fault == NULL && row == NULL)
        fault = "out of memory";
    if (fault == NULL && account_normal(name, row->name, sizeof(row->name)) < 0)
        fault = "the name is longer than 256 octets in UTF-8, or is no text";
    if (fault == NULL) {
        memcpy(row->hash, hash.p, hash.n);
        row->hash[hash.n] = '\0';
        row->line = where.line;
        fault = memchr(hash.p, '\0', hash.n) != NULL ? "the hash holds a NUL" : user_hash_fault(row->hash);
    }
    if (fault != NULL) {
        conf_finding_add(f, CONF_ERROR, where, "user file: %s", fault);
        return false;
    }
    u->n++;
    return true;
}

static bool names_are_single(struct user_file *u, struct conf_mark where, struct conf_findings *f)
{
    bool good = true;

    if (u->n > 0)
        qsort(u->rows, u->n, sizeof(*u->rows), row_compare);
    for (size_t i = 1; i < u->n; i++) {
        if (strcmp(u->rows[i - 1].name, u->rows[i].name) != 0)
            continue;
        where.line = u->rows[i].line;
        conf_finding_add(f, CONF_ERROR, where, "user file: the name of line %u again: remove one of the two",
                         u->rows[i - 1].line);
        good = false;
    }
    return good;
}

static struct str line_trim_end(struct str line)
{
    if (line.n > 0 && line.p[line.n - 1] == '\r')
        line.n--;
    return line;
}

struct user_file *user_file_parse(struct str bytes, struct conf_mark where, struct conf_findings *f)
{
    struct user_file *u = calloc(1, sizeof(*u));
    bool good = u != NULL;
    struct str line;

    if (u == NULL)
        conf_finding_add(f, CONF_ERROR, where, "user file: out of memory");
    where.line = 0;
    where.column = 1;
    while (u != NULL && bytes.n > 0 && str_next(&bytes, '\n', &line)) {
        where.line++;
        line = line_trim_end(line);
        if (line.n > 0 && line.p[0] != '#' && !line_parse(u, line, where, f))
            good = false;
    }
    if (u != NULL && !names_are_single(u, where, f))
        good = false;
    if (!good) {
        user_file_free(u);
        return NULL;
    }
    return u;
}

void user_file_free(struct user_file *u)
{
    if (u == NULL)
        return;
    secret_free(u->rows, u->room * sizeof(*u->rows));
    free(u);
}

static int name_compare(const void *key, const void *row)
{
    return strcmp(key, ((const struct user_row *)row)->name);
}

/* An unknown name takes as long as a known one: the clock must not tell which names exist. */
enum auth_detail user_file_judge(const struct user_file *u, const struct basic_credentials *c)
{
    char name[ACCOUNT_NAME_MAX + 1];
    const struct user_row *row = NULL;
    bool good;

    if (account_normal((struct str){c->user, c->user_n}, name, sizeof(name)) < 0)
        return AUTH_DETAIL_UNKNOWN_USER;
    if (u->n > 0)
        row = bsearch(name, u->rows, u->n, sizeof(*u->rows), name_compare);
    if (row != NULL)
        good = user_hash_verify(row->hash, c->password);
    else
        good = user_hash_verify(u->n > 0 ? u->rows[0].hash : DUMMY_HASH, c->password);
    if (row == NULL)
        return AUTH_DETAIL_UNKNOWN_USER;
    good = good && c->password_n > 0 && memchr(c->password, '\0', c->password_n) == NULL;
    return good ? AUTH_DETAIL_NONE : AUTH_DETAIL_WRONG_PASSWORD;
}
