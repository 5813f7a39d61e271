#include "conf_int.h"

#include <stdarg.h>
#include <stdlib.h>

/* A file can be wrong in more places than anyone reads. */
#define FINDINGS_MAX 500

struct finding {
    enum conf_severity severity;
    struct conf_mark where;
    char *text;
    size_t order;
};

struct conf_findings {
    struct finding *v;
    size_t n, size;
    size_t count[2];
    struct file_name *files;
};

struct file_name {
    struct file_name *next;
    char name[];
};

struct conf_findings *conf_findings_new(void)
{
    return calloc(1, sizeof(struct conf_findings));
}

void conf_findings_free(struct conf_findings *f)
{
    if (!f)
        return;
    for (size_t i = 0; i < f->n; i++)
        free(f->v[i].text);
    while (f->files) {
        struct file_name *next = f->files->next;
        free(f->files);
        f->files = next;
    }
    free(f->v);
    free(f);
}

/* Findings outlive the snapshot whose memory holds the name. */
static const char *keep_file(struct conf_findings *f, const char *name)
{
    if (!name)
        return NULL;
    for (struct file_name *x = f->files; x; x = x->next)
        if (strcmp(x->name, name) == 0)
            return x->name;
    size_t n = strlen(name) + 1;
    struct file_name *x = malloc(sizeof *x + n);
    if (!x)
        return NULL;
    memcpy(x->name, name, n);
    x->next = f->files;
    f->files = x;
    return x->name;
}

static bool make_room(struct conf_findings *f)
{
    if (f->n < f->size)
        return true;
    size_t size = f->size ? f->size * 2 : 16;
    struct finding *v = realloc(f->v, size * sizeof *v);
    if (!v)
        return false;
    f->v = v;
    f->size = size;
    return true;
}

void conf_finding_add(struct conf_findings *f, enum conf_severity s, struct conf_mark where,
                      const char *format, ...)
{
    f->count[s]++; /* also when it cannot be kept: an error must stay an error */
    if (f->n >= FINDINGS_MAX || !make_room(f))
        return;
    char *text;
    va_list ap;
    va_start(ap, format);
    int n = vasprintf(&text, format, ap);
    va_end(ap);
    if (n < 0)
        return;
    where.file = keep_file(f, where.file);
    f->v[f->n] = (struct finding){s, where, text, f->n};
    f->n++;
}

size_t conf_findings_count(const struct conf_findings *f, enum conf_severity s)
{
    return f->count[s];
}

static int by_place(const void *a_, const void *b_)
{
    const struct finding *const *pa = a_, *const *pb = b_;
    const struct finding *a = *pa, *b = *pb;
    if (!a->where.file != !b->where.file)
        return a->where.file ? -1 : 1;
    int d = a->where.file ? strcmp(a->where.file, b->where.file) : 0;
    if (d)
        return d;
    if (a->where.line != b->where.line)
        return a->where.line < b->where.line ? -1 : 1;
    if (a->where.column != b->where.column)
        return a->where.column < b->where.column ? -1 : 1;
    return a->order < b->order ? -1 : 1;
}

void conf_findings_each(const struct conf_findings *f,
                        void (*each)(void *ctx, enum conf_severity s, struct conf_mark where,
                                     const char *text),
                        void *ctx)
{
    if (!f->n)
        return;
    const struct finding **sorted = malloc(f->n * sizeof *sorted);
    for (size_t i = 0; sorted && i < f->n; i++)
        sorted[i] = &f->v[i];
    if (sorted)
        qsort(sorted, f->n, sizeof *sorted, by_place);
    for (size_t i = 0; i < f->n; i++) {
        const struct finding *x = sorted ? sorted[i] : &f->v[i];
        each(ctx, x->severity, x->where, x->text);
    }
    free(sorted);
}

static void print_one(void *to, enum conf_severity s, struct conf_mark where, const char *text)
{
    const char *word = s == CONF_ERROR ? "error" : "warning";
    if (where.file && where.line)
        fprintf(to, "%s:%u:%u: %s: %s\n", where.file, where.line, where.column, word, text);
    else if (where.file)
        fprintf(to, "%s: %s: %s\n", where.file, word, text);
    else
        fprintf(to, "%s: %s\n", word, text);
}

void conf_findings_print(const struct conf_findings *f, FILE *to)
{
    conf_findings_each(f, print_one, to);
    size_t all = f->count[CONF_ERROR] + f->count[CONF_WARNING];
    if (all > f->n)
        fprintf(to, "and %zu more\n", all - f->n);
}
