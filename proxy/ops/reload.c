/*
 * A new configuration: everything that can fail comes before the first thing that changes.
 */
#include <postern/access_log.h>
#include <postern/certificates.h>
#include <postern/exchange.h>
#include <postern/rules.h>

#include "notify.h"
#include "run_int.h"

struct snapshot *load_checked(const char *path, struct conf_findings *f)
{
    struct snapshot *s = conf_load(path, f);

    if (s == NULL)
        return NULL;
    certificates_check(s, f);
    if (conf_findings_count(f, CONF_ERROR) == 0 && engine_prepare(s, f) == 0 && exchange_prepare(s, f) == 0 &&
        rules_prepare(s, f) == 0 && conf_findings_count(f, CONF_ERROR) == 0)
        return s;
    snapshot_release(s);
    return NULL;
}

struct log_options log_options_of(const struct snapshot *s)
{
    return (struct log_options){.event_path = s->log.event_path.p,
                                .access_path = s->log.access_path.p,
                                .level = (enum log_level)s->log.level};
}

void log_header_of(const struct snapshot *s)
{
    struct access_log *a = access_log_new(&s->log);

    if (a != NULL)
        log_access_set_header(access_log_header(a).p);
    access_log_free(a);
}

int run_reopen_logs(const struct snapshot *s, char *ret_error, size_t error_size)
{
    struct log_options o = log_options_of(s);

    log_header_of(s);
    return log_reopen(&o, ret_error, error_size);
}

static void log_finding(void *ctx, enum conf_severity s, struct conf_mark where, const char *text)
{
    log_event(LOG_EV_CONFIG_FINDING, LF_STR("severity", str_of(s == CONF_ERROR ? "error" : "warning")),
              LF_STR("file", str_of(where.file != NULL ? where.file : "")), LF_U64("line", where.line),
              LF_STR("text", str_of(text)));
}

static int reload_apply(struct run *r, struct snapshot *s, struct conf_findings *f)
{
    struct listen_set *l = listen_set_update(r->listeners, s, engine_workers(r->engine), f);
    char error[256] = "";

    if (l == NULL)
        return -1;
    if (engine_apply(r->engine, s, l, f) < 0) {
        listen_set_free(l);
        return -1;
    }
    r->listeners = l;
    if (run_reopen_logs(s, error, sizeof(error)) < 0)
        conf_finding_add(f, CONF_WARNING, (struct conf_mark){0}, "logs stay as they are: %s", error);
    return 0;
}

int run_reload(struct run *r, struct conf_findings *f)
{
    struct snapshot *s;
    int result = -1;

    if (r->draining) {
        conf_finding_add(f, CONF_ERROR, (struct conf_mark){0}, "Postern is stopping: start it again instead");
        return -1;
    }
    notify_reloading();
    s = load_checked(r->path, f);
    if (s != NULL)
        result = reload_apply(r, s, f);
    conf_findings_each(f, log_finding, NULL);
    if (result == 0)
        log_event(LOG_EV_CONFIG_LOADED, LF_STR("file", str_of(r->path)), LF_U64("generation", s->generation));
    else
        log_event(LOG_EV_CONFIG_REFUSED, LF_STR("file", str_of(r->path)),
                  LF_U64("errors", conf_findings_count(f, CONF_ERROR)));
    if (s != NULL)
        snapshot_release(s);
    notify_ready();
    return result;
}
