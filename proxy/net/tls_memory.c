/*
 * The large and short-lived pieces of OpenSSL's memory: a buffer of 17 KB for each direction while a record is under way
 * (SSL_MODE_RELEASE_BUFFERS), one of 21 KB for the messages of a handshake. From the heap these would come and go
 * between the small pieces that stay, and leave holes: a fifth of all memory with ten thousand connections that wait. And
 * large pieces are what malloc() is slowest at. So each thread keeps a few, of one size, apart.
 *
 * What was decrypted in them may be a password. SSL_OP_CLEANSE_PLAINTEXT would overwrite all 17 KB behind every record, in steps of
 * eight octets: a fifth of what a small request costs. Here it is as much as was written.
 */
#include <assert.h>
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/crypto.h>
#include "tls_int.h"

#if defined(__SANITIZE_ADDRESS__)
#define PIECES_KEPT 0 /* each piece is then malloc'd and freed by itself, so that misuse is seen */
#else
#define PIECES_KEPT 24
#endif

/* A record with the room for its head, padding and alignment; BUF_MEM_grow() asks for four thirds of 16 KB. */
#define PIECE_SMALLEST (16 * 1024)

#define FRAME 64 /* in front of what a record brings: its head, alignment */

/* Next to nothing else that is freed begins at such an address: so most of it need not be asked for its size. */
#define PIECE_ALIGNMENT 512
static_assert(TLS_PIECE % PIECE_ALIGNMENT == 0, "aligned_alloc() wants it so");

static __thread struct {
    unsigned n;
    void *v[PIECES_KEPT + 1];
} kept;
static __thread uint32_t *filled, none;
/* The piece that was taken last, while OpenSSL has it: which gives it back on the same thread, as an SSL stays with its worker. */
static __thread const char *latest;
static __thread struct {
    int n;
    struct iovec records[TLS_LENT_MAX];
    void *pieces[TLS_LENT_MAX];
    bool given[TLS_LENT_MAX]; /* by OpenSSL, which is done with it */
} lent;

void tls_memory_filled(uint32_t *of)
{
    filled = of;
}

void tls_memory_sealed(void)
{
    none = 0;
    filled = &none;
}

static void *memory_take(size_t n, const char *file, int line)
{
    if (n < PIECE_SMALLEST || n > TLS_PIECE)
        return malloc(n);
    if (filled != NULL)
        *filled = 0;
    latest = kept.n > 0 ? kept.v[--kept.n] : aligned_alloc(PIECE_ALIGNMENT, TLS_PIECE);
    return (void *)latest;
}

static void piece_cleanse(void *p)
{
    size_t n = filled == NULL ? TLS_PIECE : *filled == 0 ? 0 : *filled + FRAME;

    explicit_bzero(p, n < TLS_PIECE ? n : TLS_PIECE);
}

static bool piece_keep(void *p)
{
#if PIECES_KEPT > 0
    if (kept.n < PIECES_KEPT) {
        kept.v[kept.n++] = p;
        return true;
    }
#endif
    return false;
}

static void piece_done(void *p)
{
    if (!piece_keep(p))
        free(p);
}

static bool piece_is_lent(const void *p)
{
    for (int i = 0; i < lent.n; i++)
        if (lent.pieces[i] == p)
            return lent.given[i] = true;
    return false;
}

static bool is_piece(void *p)
{
    size_t n;

    if (p == NULL || (uintptr_t)p % PIECE_ALIGNMENT != 0)
        return false;
    n = malloc_usable_size(p);
    return n >= TLS_PIECE && n < TLS_PIECE + 64;
}

/* By itself, so that the way of all the others stays short. */
static __attribute__((noinline)) void piece_give(void *p)
{
    if (p == latest)
        latest = NULL;
    if (piece_is_lent(p))
        return;
    piece_cleanse(p);
    piece_done(p);
}

static void memory_give(void *p, const char *file, int line)
{
    if (is_piece(p))
        piece_give(p);
    else
        free(p);
}

static void *memory_change(void *p, size_t n, const char *file, int line)
{
    if (p == latest)
        latest = NULL;
    return realloc(p, n);
}

void tls_memory_init(void)
{
    /* Refused when OpenSSL has allocated already: then it keeps to the heap, and all works the same. */
    (void)CRYPTO_set_mem_functions(memory_take, memory_change, memory_give);
}

bool tls_memory_lend(const char *data, size_t n)
{
    if (latest == NULL || data < latest || data + n > latest + TLS_PIECE || lent.n == TLS_LENT_MAX)
        return false;
    lent.records[lent.n] = (struct iovec){.iov_base = (char *)data, .iov_len = n};
    lent.pieces[lent.n] = (void *)latest;
    lent.given[lent.n++] = false;
    return true;
}

bool tls_memory_may_lend(void)
{
    return lent.n < TLS_LENT_MAX && (lent.n == 0 || lent.given[lent.n - 1]);
}

const struct iovec *tls_memory_lent(int *ret_n)
{
    *ret_n = lent.n;
    return lent.records;
}

void tls_memory_settle(void)
{
    for (int i = 0; i < lent.n; i++)
        if (lent.given[i])
            piece_done(lent.pieces[i]);
    lent.n = 0;
}

void tls_memory_trim(void)
{
    while (kept.n > 0)
        free(kept.v[--kept.n]);
}
