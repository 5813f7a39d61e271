/* Values that name something else in the file; all named objects stand in the snapshot before these are read.
 */
#include "types_int.h"

#include <stdio.h>

/* Named objects begin with their name. */
struct objects {
    const char *first;
    size_t n, size;
    const char *what, *key;
};

static struct str name_at(const void *ctx, size_t i)
{
    const struct objects *x = ctx;
    struct str s;
    memcpy(&s, x->first + i * x->size, sizeof s);
    return s;
}

_Static_assert(offsetof(struct conf_certificate, name) == 0, "name_at");
_Static_assert(offsetof(struct conf_backend, name) == 0, "name_at");
_Static_assert(offsetof(struct conf_directory, name) == 0, "name_at");
_Static_assert(offsetof(struct conf_service, name) == 0, "name_at");

static const void *find(struct conf_apply *a, const struct conf_option *o, const struct conf_node *n,
                        const struct objects *x)
{
    if (!conf_is_scalar(a, o, n))
        return NULL;
    for (size_t i = 0; i < x->n; i++)
        if (str_eq(n->text, name_at(x, i)))
            return x->first + i * x->size;
    struct str near = conf_nearest(n->text, x->n, name_at, x);
    if (near.p)
        conf_refuse(a, o, n, "unknown %s `%.*s`; did you mean `%.*s`?", x->what, STR_ARG(n->text),
                    STR_ARG(near));
    else
        conf_refuse(a, o, n, "unknown %s `%.*s`; define it under `%s:`", x->what, STR_ARG(n->text), x->key);
    return NULL;
}

static int find_all(struct conf_apply *a, const struct conf_option *o, const struct conf_node *n,
                    const struct objects *objects, void *member)
{
    const struct conf_node *x;
    int rc = 0;
    if (conf_check_items(a, o, n, false) != 0)
        return -1;
    struct conf_list list = {NULL, conf_items(n, &x)};
    if (!list.n)
        return conf_refuse(a, o, n, "the list is empty");
    const void **v = list.v = conf_take(a, list.n * sizeof *v);
    if (!v)
        return -1;
    for (size_t i = 0; i < list.n; i++, x = x->next)
        if (!(v[i] = find(a, o, x, objects)))
            rc = -1;
    if (rc == 0)
        memcpy(member, &list, sizeof list);
    return rc;
}

static void print_refs(const struct conf_option *o, const void *member, FILE *to)
{
    struct conf_list list;
    memcpy(&list, member, sizeof list);
    const struct str *const *v = list.v;
    fputc('[', to);
    for (size_t i = 0; i < list.n; i++)
        fprintf(to, "%s%.*s", i ? ", " : "", STR_ARG(*v[i]));
    fputc(']', to);
}

static int parse_certificate_refs(struct conf_apply *a, const struct conf_option *o,
                                  const struct conf_node *n, void *member)
{
    struct objects x = {(const char *)a->s->certificates, a->s->certificates_n, sizeof *a->s->certificates,
                        "certificate", "certificates"};
    return find_all(a, o, n, &x, member);
}

static int parse_service_refs(struct conf_apply *a, const struct conf_option *o, const struct conf_node *n,
                              void *member)
{
    struct objects x = {(const char *)a->s->services, a->s->services_n, sizeof *a->s->services, "service",
                        "services"};
    return find_all(a, o, n, &x, member);
}

static int parse_backend_ref(struct conf_apply *a, const struct conf_option *o, const struct conf_node *n,
                             void *member)
{
    struct objects x = {(const char *)a->s->backends, a->s->backends_n, sizeof *a->s->backends, "backend",
                        "backends"};
    const struct conf_backend *b = find(a, o, n, &x);
    if (!b)
        return -1;
    *(const struct conf_backend **)member = b;
    return 0;
}

static void print_backend_ref(const struct conf_option *o, const void *member, FILE *to)
{
    const struct conf_backend *b = *(const struct conf_backend *const *)member;
    fprintf(to, "%.*s", b ? (int)b->name.n : 4, b ? b->name.p : "none");
}

/* none | {basic: DIRECTORY} */
static int parse_authenticate(struct conf_apply *a, const struct conf_option *o, const struct conf_node *n,
                              void *member)
{
    struct objects x = {(const char *)a->s->directories, a->s->directories_n, sizeof *a->s->directories,
                        "directory", "directories"};
    if (n->kind == CONF_SCALAR && str_eq(n->text, STR("none"))) {
        *(const struct conf_directory **)member = NULL;
        return 0;
    }
    const struct conf_node *basic = n->kind == CONF_MAP ? conf_node_find(n, STR("basic")) : NULL;
    if (!basic || n->n != 1)
        return conf_refuse(a, o, n, "expected {basic: DIRECTORY}, or none to let the backend ask");
    const struct conf_directory *d = find(a, o, basic, &x);
    if (!d)
        return -1;
    *(const struct conf_directory **)member = d;
    return 0;
}

static void print_authenticate(const struct conf_option *o, const void *member, FILE *to)
{
    const struct conf_directory *d = *(const struct conf_directory *const *)member;
    if (d)
        fprintf(to, "{basic: %.*s}", STR_ARG(d->name));
    else
        fputs("none", to);
}

#define DELEGATE_FORMS "as_sent, user, domain_backslash, upn, none or {user: NAME, password_file: PATH}"

static const struct conf_value delegate_words[] = {
    {"as_sent", CONF_DELEGATE_AS_SENT},
    {"user", CONF_DELEGATE_USER},
    {"domain_backslash", CONF_DELEGATE_DOMAIN_BACKSLASH},
    {"upn", CONF_DELEGATE_UPN},
    {"none", CONF_DELEGATE_NONE},
};

static int parse_account(struct conf_apply *a, const struct conf_option *o, const struct conf_node *n,
                         struct conf_publish *p)
{
    const struct conf_node *user = conf_node_find(n, STR("user")),
                           *file = conf_node_find(n, STR("password_file"));
    struct conf_file f;
    if (n->n != 2 || !user || !file || user->kind != CONF_SCALAR || !user->text.n)
        return conf_refuse(a, o, n, "expected " DELEGATE_FORMS);
    if (memchr(user->text.p, ':', user->text.n))
        return conf_refuse(a, o, user, "a user name with `:` cannot be sent (RFC 7617 2)");
    if (conf_type_secret_line.parse(a, o, file, &f) != 0)
        return -1;
    struct str name = conf_take_str(a, user->text);
    if (!name.p)
        return -1;
    p->delegate = CONF_DELEGATE_ACCOUNT;
    p->delegate_user = name;
    p->delegate_password = f.bytes;
    return 0;
}

static int parse_delegate(struct conf_apply *a, const struct conf_option *o, const struct conf_node *n,
                          void *member)
{
    struct conf_publish *p =
        (struct conf_publish *)((char *)member - offsetof(struct conf_publish, delegate));
    if (n->kind == CONF_MAP)
        return parse_account(a, o, n, p);
    for (size_t i = 0; n->kind == CONF_SCALAR && i < sizeof delegate_words / sizeof *delegate_words; i++)
        if (str_eq(n->text, str_of(delegate_words[i].word))) {
            p->delegate = (enum conf_delegate)delegate_words[i].value;
            return 0;
        }
    return conf_refuse(a, o, n, "expected " DELEGATE_FORMS);
}

static void print_delegate(const struct conf_option *o, const void *member, FILE *to)
{
    const struct conf_publish *p =
        (const struct conf_publish *)((const char *)member - offsetof(struct conf_publish, delegate));
    if (p->delegate == CONF_DELEGATE_ACCOUNT) {
        fputs("{user: ", to);
        conf_print_word(p->delegate_user, to);
        fputs(", password_file: (read)}", to);
        return;
    }
    for (size_t i = 0; i < sizeof delegate_words / sizeof *delegate_words; i++)
        if (delegate_words[i].value == (int)p->delegate)
            fputs(delegate_words[i].word, to);
}

const struct conf_type conf_type_certificate_refs = {
    "name list", "names of certificates", sizeof(void *), parse_certificate_refs, print_refs, NULL};
const struct conf_type conf_type_service_refs = {"name list",        "names of services", sizeof(void *),
                                                 parse_service_refs, print_refs,          NULL};
const struct conf_type conf_type_backend_ref = {
    "name", "the name of a backend", sizeof(void *), parse_backend_ref, print_backend_ref, NULL};
const struct conf_type conf_type_authenticate = {"authentication",   "{basic: DIRECTORY} or none",
                                                 sizeof(void *),     parse_authenticate,
                                                 print_authenticate, NULL};
const struct conf_type conf_type_delegate = {"delegation",   DELEGATE_FORMS, sizeof(enum conf_delegate),
                                             parse_delegate, print_delegate, NULL};
