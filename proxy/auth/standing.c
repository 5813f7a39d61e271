#include <stdio.h>
#include <uv.h>
#include <postern/log.h>

#include "standing.h"

void standing_init(struct standing *s, const struct conf_directory *d,
                   const struct conf_directory_server *server)
{
    *s = (struct standing){.directory = d, .server = server};
    pthread_mutex_init(&s->lock, NULL);
}

void standing_fini(struct standing *s)
{
    pthread_mutex_destroy(&s->lock);
}

void standing_asks(struct standing *s)
{
    pthread_mutex_lock(&s->lock);
    s->asking++;
    pthread_mutex_unlock(&s->lock);
}

void standing_asked(struct standing *s)
{
    pthread_mutex_lock(&s->lock);
    s->asking--;
    pthread_mutex_unlock(&s->lock);
}

bool standing_failed(struct standing *s, enum auth_detail fault, const char *why)
{
    uint64_t now = uv_hrtime();
    bool news;

    pthread_mutex_lock(&s->lock);
    news = !s->bad;
    if (news)
        s->bad_since_ns = now;
    s->bad = true;
    s->bad_until_ns = now + s->directory->retry_after * 1000000;
    s->failures++;
    s->fault = fault;
    s->fault_ns = now;
    snprintf(s->why, sizeof(s->why), "%s", why);
    pthread_mutex_unlock(&s->lock);
    if (news)
        log_event(LOG_EV_DIRECTORY_FAILED, LF_STR("directory", s->directory->name),
                  LF_STR("server", s->server->url), LF_STR("detail", str_of(auth_detail_name(fault))),
                  LF_STR("text", str_of(why)));
    return news;
}

void standing_worked(struct standing *s)
{
    bool news;

    pthread_mutex_lock(&s->lock);
    news = s->bad;
    s->bad = false;
    s->answers++;
    pthread_mutex_unlock(&s->lock);
    if (news)
        log_event(LOG_EV_DIRECTORY_BACK, LF_STR("directory", s->directory->name),
                  LF_STR("server", s->server->url));
}

struct verifier_server standing_status(struct standing *s)
{
    struct verifier_server r = {.directory = s->directory->name, .server = s->server->url};
    uint64_t now = uv_hrtime();

    pthread_mutex_lock(&s->lock);
    r.failed = s->bad;
    r.failed_for_ms = s->bad ? (now - s->bad_since_ns) / 1000000 : 0;
    r.asking = s->asking;
    r.answers = s->answers;
    r.failures = s->failures;
    r.fault = s->fault;
    r.fault_age_ms = s->fault != AUTH_DETAIL_NONE ? (now - s->fault_ns) / 1000000 : 0;
    memcpy(r.why, s->why, sizeof(r.why));
    pthread_mutex_unlock(&s->lock);
    return r;
}

static bool standing_is_bad(struct standing *s)
{
    uint64_t now = uv_hrtime();
    bool bad;

    pthread_mutex_lock(&s->lock);
    bad = s->bad && now < s->bad_until_ns;
    if (s->bad && !bad)
        s->bad_until_ns = now + s->directory->retry_after * 1000000;
    pthread_mutex_unlock(&s->lock);
    return bad;
}

void standing_order(struct standing *const *all, size_t n, uint8_t *order)
{
    bool bad[STANDINGS_MAX];
    size_t at = 0;

    for (size_t i = 0; i < n; i++) {
        bad[i] = standing_is_bad(all[i]);
        if (!bad[i])
            order[at++] = (uint8_t)i;
    }
    for (size_t i = 0; i < n; i++) {
        if (bad[i])
            order[at++] = (uint8_t)i;
    }
}

uint64_t standing_due(uint64_t due_ns, bool others)
{
    uint64_t now = uv_hrtime();

    return others && now < due_ns ? now + (due_ns - now) / 2 : due_ns;
}
