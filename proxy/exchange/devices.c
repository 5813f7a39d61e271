#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <netinet/in.h>

#include <postern/devices.h>
#include <postern/log.h>

#define BUCKETS 16384
/* As Exchange itself judges its direct push: over the last 200 long polls, 9 minutes (Microsoft KB 905013). */
#define SAMPLES 200
#define SHORT_S 540
#define WARN_EVERY_S 3600
#define AVERAGE_OF 8 /* of one device: each poll moves the average by an eighth */

struct entry {
    struct device device;
    struct entry *next;          /* in its bucket */
    struct entry *newer, *older; /* by last_s */
};

/* Entries outlive the connections that they are made for: one by one they would keep a page of those each. */
#define SLAB 64
struct slab {
    struct slab *next;
    unsigned used;
    struct entry v[SLAB];
};

static struct {
    pthread_mutex_t lock;
    struct slab *slabs; /* only the first has room */
    struct entry *buckets[BUCKETS];
    struct entry *newest, *oldest;
    size_t n;
    uint32_t samples[SAMPLES];
    bool cut[SAMPLES];
    uint64_t samples_n;
    uint64_t sum, cuts;
    int64_t warned_s;
} devices = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* ---- the list ---- */

static void copy(char *to, size_t size, struct str s)
{
    size_t n = s.n < size ? s.n : size - 1;

    if (s.p != NULL)
        memcpy(to, s.p, n);
    to[s.p != NULL ? n : 0] = '\0';
}

static void copy_lower(char *to, size_t size, struct str s)
{
    copy(to, size, s);
    for (char *p = to; *p != '\0'; p++)
        *p = ascii_lower(*p);
}

/* FNV-1a; a client may choose what collides, and then finds at most DEVICES_MAX / BUCKETS times more to compare than others:
 * only proved accounts get here. */
static unsigned bucket_of(const char *user, const char *id)
{
    uint32_t h = 2166136261u;

    for (const char *p = user; *p != '\0'; p++)
        h = (h ^ (uint8_t)*p) * 16777619u;
    h = (h ^ 0xff) * 16777619u;
    for (const char *p = id; *p != '\0'; p++)
        h = (h ^ (uint8_t)*p) * 16777619u;
    return h % BUCKETS;
}

static void list_take(struct entry *e)
{
    *(e->newer != NULL ? &e->newer->older : &devices.newest) = e->older;
    *(e->older != NULL ? &e->older->newer : &devices.oldest) = e->newer;
}

static void list_front(struct entry *e)
{
    e->newer = NULL;
    e->older = devices.newest;
    *(e->older != NULL ? &e->older->newer : &devices.oldest) = e;
    devices.newest = e;
}

static void bucket_take(struct entry *e)
{
    struct entry **at = &devices.buckets[bucket_of(e->device.user, e->device.id)];

    while (*at != e)
        at = &(*at)->next;
    *at = e->next;
}

static struct entry *slab_take(void)
{
    struct slab *s = devices.slabs;

    if (s == NULL || s->used == SLAB) {
        s = malloc(sizeof(*s));
        if (s == NULL)
            return NULL;
        s->next = devices.slabs;
        s->used = 0;
        devices.slabs = s;
    }
    return &s->v[s->used++];
}

static struct entry *entry_new(const char *user, const char *id)
{
    struct entry *e;

    if (devices.n < DEVICES_MAX) {
        e = slab_take();
        if (e == NULL)
            return NULL;
        devices.n++;
    } else {
        e = devices.oldest;
        bucket_take(e);
        list_take(e);
    }
    memset(e, 0, sizeof(*e));
    copy(e->device.user, sizeof(e->device.user), str_of(user));
    copy(e->device.id, sizeof(e->device.id), str_of(id));
    return e;
}

/* The entry, at the front of the list. */
static struct entry *entry_of(const struct device_seen *s, int64_t now_s)
{
    char user[sizeof(((struct device *)0)->user)], id[sizeof(((struct device *)0)->id)];
    struct entry *e, **bucket;

    copy_lower(user, sizeof(user), s->user);
    copy(id, sizeof(id), s->id);
    bucket = &devices.buckets[bucket_of(user, id)];
    for (e = *bucket; e != NULL; e = e->next) {
        if (strcmp(e->device.user, user) == 0 && strcmp(e->device.id, id) == 0)
            break;
    }
    if (e != NULL) {
        list_take(e);
    } else {
        e = entry_new(user, id);
        if (e == NULL)
            return NULL;
        e->device.first_s = now_s;
        e->next = *bucket;
        *bucket = e;
    }
    list_front(e);
    return e;
}

/* ---- long polls ---- */

static void sample(const struct device_seen *s)
{
    unsigned at = (unsigned)(devices.samples_n % SAMPLES);
    uint32_t held = (uint32_t)(s->held_ms / 1000);

    if (devices.samples_n >= SAMPLES) {
        devices.sum -= devices.samples[at];
        devices.cuts -= devices.cut[at];
    }
    devices.samples[at] = held;
    devices.cut[at] = !s->held_to_the_end;
    devices.sum += held;
    devices.cuts += devices.cut[at];
    devices.samples_n++;
}

static uint32_t heartbeat(void)
{
    return devices.samples_n < SAMPLES ? 0 : (uint32_t)(devices.sum / SAMPLES);
}

/* New mail ends polls early too, and well: only where many end without an answer does something stand in between. */
static bool heartbeat_due(int64_t now_s)
{
    if (devices.samples_n < SAMPLES || heartbeat() > SHORT_S || devices.cuts < SAMPLES / 4 ||
        now_s - devices.warned_s < WARN_EVERY_S)
        return false;
    devices.warned_s = now_s;
    return true;
}

static void note_poll(struct device *d, const struct device_seen *s)
{
    uint32_t held = (uint32_t)(s->held_ms / 1000);

    d->held_s =
        d->polls == 0 ? held : (uint32_t)(((uint64_t)d->held_s * (AVERAGE_OF - 1) + held) / AVERAGE_OF);
    d->polls++;
    d->polls_cut += !s->held_to_the_end;
    sample(s);
}

/* ---- the contract ---- */

static void note(struct device *d, const struct device_seen *s, int64_t now_s)
{
    socklen_t n = s->client->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);

    copy(d->type, sizeof(d->type), s->type);
    copy(d->agent, sizeof(d->agent), s->agent);
    copy(d->command, sizeof(d->command), s->command);
    memcpy(&d->client, s->client, n);
    d->last_s = now_s;
    d->requests++;
    d->protocol = s->protocol > 0 ? s->protocol : d->protocol;
    d->status = s->status;
    d->denied = s->denied;
    if (s->held_ms > 0)
        note_poll(d, s);
}

void devices_note(const struct device_seen *s, int64_t now_s)
{
    struct entry *e;
    bool warn;
    uint32_t average;
    uint64_t cuts;

    pthread_mutex_lock(&devices.lock);
    e = entry_of(s, now_s);
    if (e != NULL)
        note(&e->device, s, now_s);
    warn = heartbeat_due(now_s);
    average = heartbeat();
    cuts = devices.cuts;
    pthread_mutex_unlock(&devices.lock);
    if (warn)
        log_event(LOG_EV_HEARTBEAT_SHORT, LF_U64("average_s", average), LF_U64("polls", SAMPLES),
                  LF_U64("cut", cuts));
}

void devices_each(struct str user, size_t max, void (*each)(void *ctx, const struct device *d), void *ctx)
{
    pthread_mutex_lock(&devices.lock);
    for (struct entry *e = devices.newest; e != NULL && max > 0; e = e->older) {
        if (user.p != NULL && !str_eq_nocase(user, str_of(e->device.user)))
            continue;
        each(ctx, &e->device);
        max--;
    }
    pthread_mutex_unlock(&devices.lock);
}

size_t devices_count(void)
{
    size_t n;

    pthread_mutex_lock(&devices.lock);
    n = devices.n;
    pthread_mutex_unlock(&devices.lock);
    return n;
}

uint32_t devices_heartbeat_s(void)
{
    uint32_t average;

    pthread_mutex_lock(&devices.lock);
    average = heartbeat();
    pthread_mutex_unlock(&devices.lock);
    return average;
}

void devices_forget(void)
{
    pthread_mutex_lock(&devices.lock);
    while (devices.slabs != NULL) {
        struct slab *s = devices.slabs;

        devices.slabs = s->next;
        free(s);
    }
    devices.newest = devices.oldest = NULL;
    memset(devices.buckets, 0, sizeof(devices.buckets));
    devices.n = 0;
    devices.samples_n = devices.sum = devices.cuts = 0;
    devices.warned_s = 0;
    pthread_mutex_unlock(&devices.lock);
}
