/* Path patterns: PCRE2, compiled once per load, matched by all workers at the same time. */
#include "types_int.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <pthread.h>
#include <stdio.h>

#define PATTERN_MAX 4096
#define HEAP_LIMIT_KIB 1024

struct conf_pattern {
    pcre2_code *code;
    pcre2_match_context *context; /* only read while matching */
    struct str text;
};

/* Match data is written while matching: each thread has its own, which ends with the thread. */
static pthread_key_t match_data_key;
static pthread_once_t match_data_once = PTHREAD_ONCE_INIT;
static bool have_key;

static void free_match_data(void *p)
{
    pcre2_match_data_free(p);
}

static void make_key(void)
{
    have_key = pthread_key_create(&match_data_key, free_match_data) == 0;
}

static pcre2_match_data *own_match_data(void)
{
    pthread_once(&match_data_once, make_key);
    if (!have_key)
        return NULL;
    pcre2_match_data *d = pthread_getspecific(match_data_key);
    if (d)
        return d;
    d = pcre2_match_data_create(1, NULL);
    if (d && pthread_setspecific(match_data_key, d) != 0) {
        pcre2_match_data_free(d);
        return NULL;
    }
    return d;
}

bool conf_pattern_match(const struct conf_pattern *p, struct str subject)
{
    pcre2_match_data *d = own_match_data();
    /* Past a limit, or without memory, nothing matches: what is in doubt is not published. */
    return d && pcre2_match(p->code, (PCRE2_SPTR)subject.p, subject.n, 0, 0, d, p->context) >= 0;
}

int conf_pattern_search(const struct conf_pattern *p, struct str subject)
{
    pcre2_match_data *d = own_match_data();
    int r = d ? pcre2_match(p->code, (PCRE2_SPTR)subject.p, subject.n, 0, 0, d, p->context)
              : PCRE2_ERROR_NOMEMORY;
    return r >= 0 ? 1 : r == PCRE2_ERROR_NOMATCH ? 0 : -1;
}

static void pattern_destroy(void *p_)
{
    struct conf_pattern *p = p_;
    pcre2_match_context_free(p->context);
    pcre2_code_free(p->code);
}

static void set_limits(struct conf_pattern *p, uint64_t limit)
{
    uint32_t l = limit > UINT32_MAX ? UINT32_MAX : (uint32_t)limit;
    pcre2_set_match_limit(p->context, l);
    pcre2_set_depth_limit(p->context, l);
    pcre2_set_heap_limit(p->context, HEAP_LIMIT_KIB);
}

struct conf_pattern *conf_pattern_new(struct conf_memory *m, struct str pattern, bool whole,
                                      uint64_t match_limit, char *ret_why, size_t why_size, size_t *ret_at)
{
    int error;
    PCRE2_SIZE at = 0;
    *ret_at = 0;
    snprintf(ret_why, why_size, "out of memory");
    struct conf_pattern *p = conf_alloc(m, sizeof *p);
    if (!p || conf_memory_defer(m, p, pattern_destroy) != 0)
        return NULL;
    p->text = conf_copy(m, pattern);
    p->context = pcre2_match_context_create(NULL);
    if (!p->text.p || !p->context)
        return NULL;
    set_limits(p, match_limit);
    p->code =
        pcre2_compile((PCRE2_SPTR)pattern.p, pattern.n,
                      (whole ? PCRE2_ANCHORED | PCRE2_ENDANCHORED : PCRE2_DOTALL) | PCRE2_CASELESS |
                          PCRE2_NEVER_UTF | PCRE2_NEVER_UCP | PCRE2_NEVER_BACKSLASH_C | PCRE2_DOLLAR_ENDONLY,
                      &error, &at, NULL);
    if (!p->code) {
        pcre2_get_error_message(error, (PCRE2_UCHAR *)ret_why, why_size);
        *ret_at = at;
        return NULL;
    }
    pcre2_jit_compile(p->code, PCRE2_JIT_COMPLETE); /* without JIT the interpreter matches */
    return p;
}

/* --- the option --- */
static int parse_one(struct conf_apply *a, const struct conf_option *o, const struct conf_node *x, bool whole,
                     struct conf_pattern **ret)
{
    char why[160];
    size_t at;
    if (!x->text.n || x->text.n > PATTERN_MAX)
        return conf_refuse(a, o, x, "a pattern has 1 to %d characters", PATTERN_MAX);
    *ret =
        conf_pattern_new(a->memory, x->text, whole, a->s->limits.pattern_match_limit, why, sizeof why, &at);
    if (!*ret)
        return conf_refuse(a, o, x, "the pattern is wrong at character %zu: %s", at + 1, why);
    return 0;
}

static int parse_patterns(struct conf_apply *a, const struct conf_option *o, const struct conf_node *n,
                          void *member)
{
    const struct conf_node *x;
    int rc = 0;
    if (conf_check_items(a, o, n, false) != 0)
        return -1;
    struct conf_list list = {NULL, conf_items(n, &x)};
    struct conf_pattern **v = list.v = conf_take(a, list.n * sizeof *v);
    if (!v)
        return -1;
    for (size_t i = 0; i < list.n; i++, x = x->next)
        if (parse_one(a, o, x, true, &v[i]) != 0)
            rc = -1;
    if (rc == 0)
        memcpy(member, &list, sizeof list);
    return rc;
}

static void print_patterns(const struct conf_option *o, const void *member, FILE *to)
{
    struct conf_list list;
    memcpy(&list, member, sizeof list);
    struct conf_pattern *const *v = list.v;
    fputc('[', to);
    for (size_t i = 0; i < list.n; i++) {
        fputs(i ? ", " : "", to);
        conf_print_word(v[i]->text, to);
    }
    fputc(']', to);
}

const struct conf_type conf_type_patterns = {"pattern list", "PCRE2 patterns that match whole paths",
                                             sizeof(void *), parse_patterns,
                                             print_patterns, NULL};

/* --- one pattern that is looked for inside --- */
static int parse_signature(struct conf_apply *a, const struct conf_option *o, const struct conf_node *n,
                           void *member)
{
    return conf_is_scalar(a, o, n) ? parse_one(a, o, n, false, member) : -1;
}

static void print_signature(const struct conf_option *o, const void *member, FILE *to)
{
    const struct conf_pattern *p = *(struct conf_pattern *const *)member;
    if (p)
        conf_print_word(p->text, to);
}

const struct conf_type conf_type_signature = {"pattern",       "a PCRE2 pattern", sizeof(void *),
                                              parse_signature, print_signature,   NULL};
