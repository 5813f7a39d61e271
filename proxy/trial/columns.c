/*
 * Which columns the matrix has: hosts of the configuration or of the command line, each as it is and as it could be.
 */
#include <stdio.h>
#include "advice_int.h"
#include "command_int.h"

#define TIMEOUT_DEFAULT_MS 10000

/* Adds the finding; the value is what a function that failed returns. */
#define FAIL(s, ...)                                                                                         \
    ({                                                                                                       \
        conf_finding_add((s)->findings, CONF_ERROR, (struct conf_mark){NULL, 0, 0}, __VA_ARGS__);            \
        -1;                                                                                                  \
    })

const struct trial_policy *trial_setup_policy(struct trial_setup *s, const char *name)
{
    for (unsigned i = 0; i < s->policies_n; i++) {
        if (str_eq(s->policies[i].name, str_of(name)))
            return &s->policies[i];
    }
    if (s->policies_n == TRIAL_COLUMNS_MAX) {
        (void)FAIL(s, "too many policies at `%s`", name);
        return NULL;
    }
    if (trial_policy_load(&s->policies[s->policies_n], s->memory, name, s->policies_folder, s->findings) < 0)
        return NULL;
    return &s->policies[s->policies_n++];
}

static int certificate_add(struct trial_setup *s, struct str pem, const char *label,
                           struct trial_server *server)
{
    char why[TRIAL_TEXT];

    if (s->certificates_n == TRIAL_COLUMNS_MAX || server->certificates_n == TRIAL_CERTIFICATES_MAX)
        return FAIL(s, "too many certificates at %s", label);
    if (trial_certificate_read(pem, label, &s->certificates[s->certificates_n], why) < 0) {
        conf_finding_add(s->findings, CONF_ERROR, (struct conf_mark){label, 0, 0}, "%s", why);
        return -1;
    }
    server->certificates[server->certificates_n++] = &s->certificates[s->certificates_n++];
    return 0;
}

int trial_setup_chain(struct trial_setup *s, const char *files, struct trial_server *server)
{
    struct str rest = str_of(files), path, bytes;
    char name[1024];
    const char *why;

    while (str_next(&rest, ',', &path)) {
        snprintf(name, sizeof(name), "%.*s", STR_ARG(path));
        if (conf_slurp(s->memory, name, &bytes, &why) != 0) {
            conf_finding_add(s->findings, CONF_ERROR, (struct conf_mark){name, 0, 0}, "%s", why);
            return -1;
        }
        if (certificate_add(s, bytes, name, server) < 0)
            return -1;
    }
    return 0;
}

static struct trial_column *column_add(struct trial_setup *s, const char *host)
{
    struct trial_column *c;

    if (s->matrix.columns_n == TRIAL_COLUMNS_MAX) {
        (void)FAIL(s, "more columns than fit, at %s: choose with --host", host);
        return NULL;
    }
    c = &s->matrix.columns[s->matrix.columns_n++];
    *c = (struct trial_column){.host = host};
    return c;
}

static bool chosen_host(const struct trial_setup *s, const char *host)
{
    for (unsigned i = 0; i < s->o.hosts.n; i++) {
        if (strcasecmp(s->o.hosts.v[i], host) == 0)
            return true;
    }
    return s->o.hosts.n == 0;
}

/* A host that a client could ask for: a wildcard stands for one of its names. */
static const char *concrete(struct trial_setup *s, struct str host, const struct trial_server *server)
{
    char name[TRIAL_NAME_MAX];

    if (str_eq(host, STR("*")))
        return server->certificates_n > 0 && server->certificates[0]->names_n > 0
                   ? server->certificates[0]->names[0]
                   : "localhost";
    if (host.n > 2 && host.p[0] == '*')
        snprintf(name, sizeof(name), "mail%.*s", (int)host.n - 1, host.p + 1);
    else
        snprintf(name, sizeof(name), "%.*s", STR_ARG(host));
    return conf_copy(s->memory, str_of(name)).p;
}

static bool host_seen(const struct trial_setup *s, unsigned from, const char *host)
{
    for (unsigned i = from; i < s->matrix.columns_n; i++) {
        if (strcasecmp(s->matrix.columns[i].host, host) == 0)
            return true;
    }
    return false;
}

static int host_column(struct trial_setup *s, const struct trial_server *server, const char *host,
                       unsigned from)
{
    struct trial_column *c;

    if (host == NULL || !chosen_host(s, host) || host_seen(s, from, host))
        return 0;
    c = column_add(s, host);
    if (c == NULL)
        return -1;
    c->server = *server;
    c->predict = true;
    snprintf(c->label, sizeof(c->label), "%.80s, %.*s", host, STR_ARG(server->policy->name));
    return 0;
}

static int listener_columns(struct trial_setup *s, const struct conf_listener *l)
{
    struct trial_server server = {.policy = &s->policies[l->tls]};
    unsigned from = s->matrix.columns_n;

    for (size_t i = 0; i < l->certificates_n; i++) {
        if (certificate_add(s, l->certificates[i]->chain.bytes, l->certificates[i]->name.p, &server) < 0)
            return -1;
    }
    for (size_t i = 0; server.certificates_n > 0 && i < s->snapshot->publish_n; i++) {
        const struct conf_publish *p = &s->snapshot->publish[i];

        for (size_t k = 0; k < p->hosts.n; k++) {
            if (host_column(s, &server, concrete(s, p->hosts.v[k], &server), from) < 0)
                return -1;
        }
    }
    return 0;
}

static int columns_of_configuration(struct trial_setup *s)
{
    s->snapshot = conf_load(s->o.config, s->findings);
    if (s->snapshot == NULL)
        return -1;
    for (size_t i = 0; i < s->snapshot->listeners_n; i++) {
        if (listener_columns(s, &s->snapshot->listeners[i]) < 0)
            return -1;
    }
    return s->matrix.columns_n > 0 ? 0 : FAIL(s, "%s: no TLS listener publishes such a host", s->o.config);
}

static int columns_of_chain(struct trial_setup *s)
{
    const struct trial_policy *p = trial_setup_policy(s, s->o.tls != NULL ? s->o.tls : "intermediate");
    struct trial_server server = {.policy = p};

    if (p == NULL)
        return -1;
    for (unsigned i = 0; i < s->o.chains.n; i++) {
        if (trial_setup_chain(s, s->o.chains.v[i], &server) < 0)
            return -1;
    }
    for (unsigned i = 0; i < s->o.hosts.n; i++) {
        if (host_column(s, &server, s->o.hosts.v[i], 0) < 0)
            return -1;
    }
    return 0;
}

/* ---- what if ---- */

static int variant(struct trial_setup *s, const struct trial_column *base, const struct trial_policy *p,
                   const char *chain)
{
    struct trial_server server = base->server;
    struct trial_column *c;

    if (p != NULL && p == base->server.policy)
        return 0;
    if (p != NULL)
        server.policy = p;
    if (chain != NULL) {
        server.certificates_n = 0;
        if (trial_setup_chain(s, chain, &server) < 0)
            return -1;
    }
    c = column_add(s, base->host);
    if (c == NULL)
        return -1;
    c->server = server;
    c->predict = true;
    snprintf(c->label, sizeof(c->label), "%.60s, if %.*s%.50s", base->host,
             STR_ARG(p != NULL ? p->name : STR("")), chain != NULL ? chain : "");
    return 0;
}

static int variants(struct trial_setup *s, const struct trial_column *base, const char *what)
{
    if (strcmp(what, "tls") == 0) {
        for (unsigned i = 0; i < CONF_TLS_COUNT; i++) {
            if (variant(s, base, &s->policies[i], NULL) < 0)
                return -1;
        }
        return 0;
    }
    if (strncmp(what, "tls=", 4) == 0) {
        const struct trial_policy *p = trial_setup_policy(s, what + 4);

        return p != NULL ? variant(s, base, p, NULL) : -1;
    }
    if (strncmp(what, "chain=", 6) == 0)
        return variant(s, base, NULL, what + 6);
    return FAIL(s, "--what-if is tls, tls=PROFILE or chain=FILE[,FILE], not `%s`", what);
}

static int columns_if(struct trial_setup *s)
{
    for (unsigned i = 0; i < s->base_n; i++) {
        for (unsigned k = 0; k < s->o.what_if.n; k++) {
            if (variants(s, &s->matrix.columns[i], s->o.what_if.v[k]) < 0)
                return -1;
        }
    }
    return 0;
}

/* ---- live ---- */

/* "host", "host:port", "[v6]:port". */
static int split_connect(struct trial_setup *s)
{
    const char *text = s->o.connect, *colon = strrchr(text, ':'), *bracket = strchr(text, ']');
    size_t n;

    if (bracket != NULL ? colon < bracket : colon != NULL && strchr(text, ':') != colon)
        colon = NULL;
    snprintf(s->connect_port, sizeof(s->connect_port), "%s",
             colon != NULL           ? colon + 1
             : s->o.starttls != NULL ? "587"
                                     : "443");
    n = colon != NULL ? (size_t)(colon - text) : strlen(text);
    if (text[0] == '[' && bracket != NULL) {
        text++;
        n = (size_t)(bracket - text);
    }
    if (n == 0 || n >= sizeof(s->connect_host))
        return FAIL(s, "--connect is HOST or HOST:PORT, not `%s`", s->o.connect);
    memcpy(s->connect_host, text, n);
    s->connect_host[n] = '\0';
    return 0;
}

static int read_password(struct trial_setup *s)
{
    struct str bytes;
    const char *why;

    if (s->o.password_file == NULL)
        return 0;
    if (conf_slurp(s->memory, s->o.password_file, &bytes, &why) != 0)
        return FAIL(s, "the password file cannot be read: %s", why);
    bytes.n = strcspn(bytes.p, "\r\n");
    if (bytes.n >= sizeof(s->password))
        return FAIL(s, "%s: the password is too long", s->o.password_file);
    memcpy(s->password, bytes.p, bytes.n);
    return 0;
}

static int target_set(struct trial_setup *s, struct trial_column *c)
{
    uint64_t seconds = TIMEOUT_DEFAULT_MS / 1000;

    if (s->o.timeout != NULL &&
        (!str_to_u64(str_of(s->o.timeout), &seconds) || seconds == 0 || seconds > 600))
        return FAIL(s, "--timeout is 1 to 600 seconds, not `%s`", s->o.timeout);
    c->live = true;
    c->target = (struct trial_target){.host = s->connect_host,
                                      .port = s->connect_port,
                                      .name = c->host,
                                      .starttls_smtp = s->o.starttls != NULL,
                                      .timeout_ms = (unsigned)seconds * 1000,
                                      .user = s->o.user,
                                      .password = s->password,
                                      .http = !s->o.no_http};
    return 0;
}

static int columns_live(struct trial_setup *s)
{
    if (split_connect(s) < 0 || read_password(s) < 0)
        return -1;
    if (s->base_n == 0) {
        unsigned n = s->o.hosts.n;

        for (unsigned i = 0; i < (n > 0 ? n : 1); i++) {
            struct trial_column *c = column_add(s, n > 0 ? s->o.hosts.v[i] : s->connect_host);

            if (c == NULL)
                return -1;
            snprintf(c->label, sizeof(c->label), "%.120s", c->host);
            s->base_n++;
        }
    }
    for (unsigned i = 0; i < s->base_n; i++) {
        if (target_set(s, &s->matrix.columns[i]) < 0)
            return -1;
    }
    return 0;
}

int trial_columns_make(struct trial_setup *s)
{
    for (int i = 0; i < CONF_TLS_COUNT; i++) {
        if (trial_policy_of_profile(&s->policies[i], (enum conf_tls)i) < 0)
            return FAIL(s, "the TLS profile `%s` cannot be read", conf_tls_name((enum conf_tls)i));
        s->policies_n++;
    }
    s->choices = (struct trial_choices){s->policies, CONF_TLS_COUNT};
    if (s->o.chains.n == 0 && s->o.config == NULL && s->o.connect == NULL)
        s->o.config = "/etc/postern/postern.yaml";
    if ((s->o.config != NULL && columns_of_configuration(s) < 0) ||
        (s->o.chains.n > 0 && columns_of_chain(s) < 0))
        return -1;
    s->base_n = s->matrix.columns_n;
    if (columns_if(s) < 0)
        return -1;
    return s->o.connect != NULL ? columns_live(s) : 0;
}

/* ---- advice ---- */

static struct trial_column *same_server(struct trial_advice *a, struct trial_setup *s, unsigned i)
{
    struct trial_column *first = &s->matrix.columns[i];

    *a = (struct trial_advice){.devices = &s->chosen, .server = &first->server};
    for (; i < s->base_n; i++) {
        struct trial_column *c = &s->matrix.columns[i];

        if (c->server.policy != first->server.policy ||
            memcmp(c->server.certificates, first->server.certificates, sizeof(first->server.certificates)) !=
                0)
            break;
        if (a->hosts_n < TRIAL_ADVICE_HOSTS)
            a->hosts[a->hosts_n++] = c->host;
    }
    return &s->matrix.columns[i];
}

void trial_setup_advise(struct trial_setup *s, FILE *to)
{
    struct trial_column *next = s->matrix.columns;
    struct trial_advice a;

    while (next < s->matrix.columns + s->base_n && next->predict) {
        const char *host = next->host;

        next = same_server(&a, s, (unsigned)(next - s->matrix.columns));
        snprintf(a.title, sizeof(a.title), "certificates for %.80s%s", host,
                 a.hosts_n > 1 ? " and others" : "");
        trial_advice_write(&a, to);
    }
}
