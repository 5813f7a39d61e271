/*
 * Session ticket keys (RFC 5077 4). Every worker and, by file, every machine has the same ones, so that a client may
 * resume wherever it arrives.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <postern/log.h>
#include "tls_int.h"
#include "tls_tickets.h"

#define TICKET_NAME 16
#define TICKET_KEYS_MAX 8
/* From memory: the key in force and the one before; a ticket lives for one rotation, so none outlives its key. */
#define TICKET_KEYS_MEMORY 2

struct ticket_key {
    unsigned char name[TICKET_NAME], mac[32], aes[32];
};
#define TICKET_FILE_KEY sizeof(struct ticket_key)

struct tls_tickets {
    pthread_mutex_t lock;
    enum conf_tickets kind;
    uint64_t rotation_ms, made_at_ms;
    unsigned n;
    struct ticket_key v[TICKET_KEYS_MAX]; /* the first encrypts */
};

/* ---- keys ---- */

static bool tickets_rotate(struct tls_tickets *t, uint64_t now_ms)
{
    struct ticket_key fresh;
    bool good = RAND_bytes((unsigned char *)&fresh, sizeof(fresh)) == 1;

    pthread_mutex_lock(&t->lock);
    if (good) {
        memmove(&t->v[1], &t->v[0], (TICKET_KEYS_MEMORY - 1) * sizeof(t->v[0]));
        t->v[0] = fresh;
        if (t->n < TICKET_KEYS_MEMORY)
            t->n++;
        t->made_at_ms = now_ms;
    }
    pthread_mutex_unlock(&t->lock);
    OPENSSL_cleanse(&fresh, sizeof(fresh));
    return good;
}

static bool tickets_from_file(struct tls_tickets *t, const struct conf_file *file)
{
    size_t n = file->bytes.n / TICKET_FILE_KEY;
    bool good = file->bytes.n % TICKET_FILE_KEY == 0 && n > 0 && n <= TICKET_KEYS_MAX;

    if (!good)
        return false;
    pthread_mutex_lock(&t->lock);
    OPENSSL_cleanse(t->v, sizeof(t->v));
    memcpy(t->v, file->bytes.p, n * TICKET_FILE_KEY);
    t->n = (unsigned)n;
    pthread_mutex_unlock(&t->lock);
    return true;
}

static void tickets_forget(struct tls_tickets *t)
{
    pthread_mutex_lock(&t->lock);
    OPENSSL_cleanse(t->v, sizeof(t->v));
    t->n = 0;
    pthread_mutex_unlock(&t->lock);
}

static void log_rotated(unsigned keys)
{
    log_event(LOG_EV_TICKET_KEYS, LF_U64("keys", keys));
}

/* Main thread, the only one that writes the keys: it may read them without the lock. */
static bool tickets_are_those_of(const struct tls_tickets *t, const struct conf_file *file)
{
    return t->n > 0 && file->bytes.n == t->n * TICKET_FILE_KEY &&
           CRYPTO_memcmp(t->v, file->bytes.p, file->bytes.n) == 0;
}

static void tickets_load_file(struct tls_tickets *t, const struct conf_file *file)
{
    if (tickets_from_file(t, file))
        log_rotated(t->n);
    else
        log_event(LOG_EV_TICKET_FILE_BAD, LF_STR("file", file->path), LF_U64("bytes", file->bytes.n),
                  LF_STR("remedy", STR("1 to 8 keys of 80 random bytes each")));
}

void tls_tickets_refresh(struct tls_tickets *t, const struct conf_process *p, uint64_t now_ms)
{
    bool changed = t->kind != p->tickets;

    t->kind = p->tickets;
    __atomic_store_n(&t->rotation_ms, p->ticket_rotation, __ATOMIC_RELAXED);
    if (changed)
        /* keys that a file has shown elsewhere are not made ours, nor the other way round */
        tickets_forget(t);
    switch (t->kind) {
    case CONF_TICKETS_OFF:
        break;
    case CONF_TICKETS_FILE:
        if (!tickets_are_those_of(t, &p->ticket_file))
            tickets_load_file(t, &p->ticket_file);
        break;
    case CONF_TICKETS_MEMORY:
        if (t->n > 0 && now_ms - t->made_at_ms < t->rotation_ms)
            break;
        if (tickets_rotate(t, now_ms))
            log_rotated(t->n);
        break;
    }
}

struct tls_tickets *tls_tickets_new(const struct conf_process *p)
{
    struct tls_tickets *t =
        mmap(NULL, sizeof(*t), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (t == MAP_FAILED)
        return NULL;
    (void)mlock(t, sizeof(*t)); /* both may be refused */
    (void)madvise(t, sizeof(*t), MADV_DONTDUMP);
    pthread_mutex_init(&t->lock, NULL);
    t->kind = p->tickets;
    t->rotation_ms = p->ticket_rotation;
    return t;
}

void tls_tickets_free(struct tls_tickets *t)
{
    if (t == NULL)
        return;
    tickets_forget(t);
    pthread_mutex_destroy(&t->lock);
    munmap(t, sizeof(*t));
}

bool tls_tickets_usable(struct tls_tickets *t)
{
    bool any;

    pthread_mutex_lock(&t->lock);
    any = t->n > 0;
    pthread_mutex_unlock(&t->lock);
    return any;
}

uint64_t tls_tickets_lifetime_s(const struct tls_tickets *t)
{
    uint64_t s = __atomic_load_n(&t->rotation_ms, __ATOMIC_RELAXED) / 1000;

    return s > TLS_TICKET_LIFETIME_MAX_S ? TLS_TICKET_LIFETIME_MAX_S : s;
}

/* ---- use ---- */

static bool key_in_force(struct tls_tickets *t, struct ticket_key *ret)
{
    bool any;

    pthread_mutex_lock(&t->lock);
    any = t->n > 0;
    if (any)
        *ret = t->v[0];
    pthread_mutex_unlock(&t->lock);
    return any;
}

/* Its place, or -1. */
static int key_named(struct tls_tickets *t, const unsigned char *name, struct ticket_key *ret)
{
    int at = -1;

    pthread_mutex_lock(&t->lock);
    for (unsigned i = 0; i < t->n && at < 0; i++) {
        if (memcmp(t->v[i].name, name, TICKET_NAME) == 0)
            at = (int)i;
    }
    if (at >= 0)
        *ret = t->v[at];
    pthread_mutex_unlock(&t->lock);
    return at;
}

static bool mac_key(EVP_MAC_CTX *mac, struct ticket_key *k)
{
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, k->mac, sizeof(k->mac)),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };

    return EVP_MAC_CTX_set_params(mac, params) == 1;
}

static int ticket_encrypt(struct tls_ticket_use *u, unsigned char *name, unsigned char *iv,
                          EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac)
{
    struct ticket_key k;
    int r = 0; /* no ticket */

    if (!key_in_force(u->tickets, &k))
        return 0;
    memcpy(name, k.name, TICKET_NAME);
    if (RAND_bytes_ex(u->libctx, iv, (size_t)EVP_CIPHER_get_iv_length(u->aes), 0) == 1 &&
        EVP_EncryptInit_ex(cipher, u->aes, NULL, k.aes, iv) == 1 && mac_key(mac, &k))
        r = 1;
    OPENSSL_cleanse(&k, sizeof(k));
    return r;
}

static int ticket_decrypt(struct tls_ticket_use *u, const unsigned char *name, const unsigned char *iv,
                          EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac)
{
    struct ticket_key k;
    int at = key_named(u->tickets, name, &k), r = 0; /* full handshake */

    if (at < 0)
        return 0;
    if (EVP_DecryptInit_ex(cipher, u->aes, NULL, k.aes, iv) == 1 && mac_key(mac, &k))
        r = at == 0 ? 1 : 2; /* 2: take it, and give out a new one */
    OPENSSL_cleanse(&k, sizeof(k));
    return r;
}

int tls_ticket_crypt(struct tls_ticket_use *u, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                     EVP_MAC_CTX *mac, int encrypt)
{
    int r = encrypt ? ticket_encrypt(u, name, iv, cipher, mac) : ticket_decrypt(u, name, iv, cipher, mac);

    if (r == 0) /* no ticket, or a full handshake: no failure that anybody will ask about */
        tls_errors_drop();
    return r;
}
