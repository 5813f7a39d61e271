/*
 * Session ticket keys: rotation, files, off, and what a ticket of each key is worth.
 */
#include <pthread.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>

#include "../../../proxy/net/tls_tickets.h"
#include "net_fixture.h"

#define HOUR UINT64_C(3600000)

struct ticket {
    unsigned char name[16], iv[16], body[64], mac[32];
    int body_n;
};

static struct tls_ticket_use use;

static int group_setup(void **state)
{
    use.aes = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
    return net_setup(state);
}

static int group_teardown(void **state)
{
    EVP_CIPHER_free(use.aes);
    return net_teardown(state);
}

static EVP_MAC_CTX *mac_new(void)
{
    EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    EVP_MAC_CTX *mac = EVP_MAC_CTX_new(hmac);

    EVP_MAC_free(hmac);
    assert_non_null(mac);
    return mac;
}

static void mac_of(EVP_MAC_CTX *mac, const struct ticket *t, unsigned char out[32])
{
    size_t n = 0;

    assert_int_equal(EVP_MAC_init(mac, NULL, 0, NULL), 1);
    assert_int_equal(EVP_MAC_update(mac, t->body, (size_t)t->body_n), 1);
    assert_int_equal(EVP_MAC_final(mac, out, &n, 32), 1);
    assert_int_equal(n, 32);
}

static const unsigned char secret[32] = "what a session ticket protects.";

/* As OpenSSL does it; the callback's result. */
static int seal(struct ticket *t)
{
    EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
    EVP_MAC_CTX *mac = mac_new();
    int r = tls_ticket_crypt(&use, t->name, t->iv, cipher, mac, 1), n = 0;

    if (r == 1) {
        assert_int_equal(EVP_EncryptUpdate(cipher, t->body, &t->body_n, secret, sizeof(secret)), 1);
        assert_int_equal(EVP_EncryptFinal(cipher, t->body + t->body_n, &n), 1);
        t->body_n += n;
        mac_of(mac, t, t->mac);
    }
    EVP_CIPHER_CTX_free(cipher);
    EVP_MAC_CTX_free(mac);
    return r;
}

static int unseal(struct ticket *t)
{
    EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
    EVP_MAC_CTX *mac = mac_new();
    int r = tls_ticket_crypt(&use, t->name, t->iv, cipher, mac, 0), n = 0, last = 0;
    unsigned char plain[96], check[32];

    if (r > 0) {
        mac_of(mac, t, check);
        assert_memory_equal(check, t->mac, 32);
        assert_int_equal(EVP_DecryptUpdate(cipher, plain, &n, t->body, t->body_n), 1);
        assert_int_equal(EVP_DecryptFinal(cipher, plain + n, &last), 1);
        assert_int_equal(n + last, sizeof(secret));
        assert_memory_equal(plain, secret, sizeof(secret));
    }
    EVP_CIPHER_CTX_free(cipher);
    EVP_MAC_CTX_free(mac);
    return r;
}

/* ---- from memory ---- */

static void test_rotation(void **state)
{
    struct conf_process p = {.tickets = CONF_TICKETS_MEMORY, .ticket_rotation = 12 * HOUR};
    struct ticket first, again, second, third;

    use.tickets = tls_tickets_new(&p);
    assert_non_null(use.tickets);
    assert_false(tls_tickets_usable(use.tickets));
    assert_int_equal(seal(&first), 0); /* no key yet: no ticket */
    tls_tickets_refresh(use.tickets, &p, 1000);
    assert_true(tls_tickets_usable(use.tickets));
    assert_int_equal(tls_tickets_lifetime_s(use.tickets), 12 * 3600);
    assert_int_equal(seal(&first), 1);
    assert_int_equal(unseal(&first), 1);
    tls_tickets_refresh(use.tickets, &p, 1000 + 12 * HOUR - 1); /* not due */
    assert_int_equal(seal(&again), 1);
    assert_memory_equal(again.name, first.name, 16);
    assert_memory_not_equal(again.iv, first.iv, 16);
    assert_memory_not_equal(again.body, first.body, 32);
    tls_tickets_refresh(use.tickets, &p, 1000 + 12 * HOUR);
    assert_int_equal(unseal(&first), 2); /* taken, and a new one given out */
    assert_int_equal(seal(&second), 1);
    assert_memory_not_equal(second.name, first.name, 16);
    assert_int_equal(unseal(&second), 1);
    tls_tickets_refresh(use.tickets, &p, 1000 + 24 * HOUR);
    assert_int_equal(unseal(&first), 0); /* gone with its key */
    assert_int_equal(unseal(&second), 2);
    assert_int_equal(seal(&third), 1);
    assert_int_equal(unseal(&third), 1);
    tls_tickets_free(use.tickets);
}

static void test_unknown_and_changed(void **state)
{
    struct conf_process p = {.tickets = CONF_TICKETS_MEMORY, .ticket_rotation = HOUR};
    struct ticket t, other;

    use.tickets = tls_tickets_new(&p);
    tls_tickets_refresh(use.tickets, &p, 1000);
    assert_int_equal(seal(&t), 1);
    for (int i = 0; i < 16; i++) {
        other = t;
        other.name[i] ^= 1;
        assert_int_equal(unseal(&other), 0);
    }
    tls_tickets_free(use.tickets);
    use.tickets = tls_tickets_new(&p); /* another machine */
    tls_tickets_refresh(use.tickets, &p, 1000);
    assert_int_equal(unseal(&t), 0);
    tls_tickets_free(use.tickets);
}

static void test_lifetime(void **state)
{
    struct conf_process p = {.tickets = CONF_TICKETS_MEMORY, .ticket_rotation = 24 * 30 * HOUR};

    use.tickets = tls_tickets_new(&p);
    assert_int_equal(tls_tickets_lifetime_s(use.tickets), 7 * 86400);
    p.ticket_rotation = 60000;
    tls_tickets_refresh(use.tickets, &p, 1000);
    assert_int_equal(tls_tickets_lifetime_s(use.tickets), 60);
    tls_tickets_free(use.tickets);
}

/* ---- from a file ---- */

static unsigned char file_keys[9 * 80];

static struct conf_process process_of_file(size_t from, size_t n)
{
    struct conf_process p = {.tickets = CONF_TICKETS_FILE, .ticket_rotation = HOUR};
    char *copy = malloc(n > 0 ? n : 1); /* its own block: reading beyond it is seen by the sanitizer */

    memcpy(copy, file_keys + from, n);
    p.ticket_file.path = STR("tickets.key");
    p.ticket_file.bytes = (struct str){copy, n};
    return p;
}

static void refresh_from_file(size_t from, size_t n)
{
    struct conf_process p = process_of_file(from, n);

    tls_tickets_refresh(use.tickets, &p, 1000);
    free((char *)(uintptr_t)p.ticket_file.bytes.p);
}

static void tickets_of_file(size_t from, size_t n)
{
    struct conf_process p = {.tickets = CONF_TICKETS_FILE, .ticket_rotation = HOUR};

    for (size_t i = 0; i < sizeof(file_keys); i++)
        file_keys[i] = (unsigned char)(i / 80 * 16 + i * 7 + 1);
    use.tickets = tls_tickets_new(&p);
    refresh_from_file(from, n);
}

static void test_file(void **state)
{
    struct ticket t, second;

    tickets_of_file(0, 80);
    assert_true(tls_tickets_usable(use.tickets));
    assert_int_equal(seal(&t), 1);
    assert_memory_equal(t.name, file_keys, 16);
    assert_int_equal(unseal(&t), 1);
    refresh_from_file(80, 80); /* only the next one: its tickets are not ours any more */
    assert_int_equal(unseal(&t), 0);
    assert_int_equal(seal(&second), 1);
    assert_memory_equal(second.name, file_keys + 80, 16);
    refresh_from_file(0, 160); /* the first encrypts, both decrypt */
    assert_int_equal(unseal(&t), 1);
    assert_int_equal(unseal(&second), 2);
    refresh_from_file(0, 80); /* shorter, and its beginning the same */
    assert_int_equal(unseal(&t), 1);
    assert_int_equal(unseal(&second), 0);
    refresh_from_file(0, 8 * 80);
    assert_int_equal(unseal(&second), 2);
    tls_tickets_free(use.tickets);
}

/* What cannot be used changes nothing. */
static void test_bad_file(void **state)
{
    static const size_t bad[] = {0, 1, 79, 81, 159, 9 * 80};
    struct ticket t;

    tickets_of_file(0, 160);
    assert_int_equal(seal(&t), 1);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        refresh_from_file(0, bad[i]);
        assert_true(tls_tickets_usable(use.tickets));
        assert_int_equal(unseal(&t), 1);
    }
    tls_tickets_free(use.tickets);
    tickets_of_file(0, 48); /* bad from the beginning: there are no keys, so no tickets are promised */
    assert_false(tls_tickets_usable(use.tickets));
    assert_int_equal(seal(&t), 0);
    tls_tickets_free(use.tickets);
}

/* The whole layout: nginx's, so that both may be given the same file. */
static void test_file_layout(void **state)
{
    struct ticket t;
    EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();
    unsigned char plain[96], mac[32];
    int n = 0, last = 0;

    tickets_of_file(0, 80);
    assert_int_equal(seal(&t), 1);
    assert_int_equal(EVP_DecryptInit_ex(cipher, use.aes, NULL, file_keys + 48, t.iv), 1);
    assert_int_equal(EVP_DecryptUpdate(cipher, plain, &n, t.body, t.body_n), 1);
    assert_int_equal(EVP_DecryptFinal(cipher, plain + n, &last), 1);
    assert_memory_equal(plain, secret, sizeof(secret));
    assert_non_null(EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, file_keys + 16, 32, t.body,
                              (size_t)t.body_n, mac, sizeof(mac), NULL));
    assert_memory_equal(mac, t.mac, 32);
    EVP_CIPHER_CTX_free(cipher);
    tls_tickets_free(use.tickets);
}

/* ---- from one kind to another ---- */

static void test_kinds(void **state)
{
    struct conf_process memory = {.tickets = CONF_TICKETS_MEMORY, .ticket_rotation = HOUR},
                        off = {.tickets = CONF_TICKETS_OFF, .ticket_rotation = HOUR};
    struct ticket of_memory, of_file, t;

    use.tickets = tls_tickets_new(&memory);
    tls_tickets_refresh(use.tickets, &memory, 1000);
    assert_int_equal(seal(&of_memory), 1);
    refresh_from_file(0, 80);
    assert_int_equal(unseal(&of_memory), 0);
    assert_int_equal(seal(&of_file), 1);
    tls_tickets_refresh(use.tickets, &off, 2000);
    assert_false(tls_tickets_usable(use.tickets));
    assert_int_equal(unseal(&of_file), 0);
    assert_int_equal(seal(&t), 0);
    tls_tickets_refresh(use.tickets, &memory, 3000); /* due at once, though an hour has not passed */
    assert_true(tls_tickets_usable(use.tickets));
    assert_int_equal(seal(&t), 1);
    assert_int_equal(unseal(&of_memory), 0);
    assert_int_equal(unseal(&of_file), 0);
    assert_int_equal(unseal(&t), 1);
    tls_tickets_free(use.tickets);
}

/* ---- several threads ---- */

static bool stop; /* atomic */

static void *sealer(void *arg)
{
    unsigned long *lost = arg;

    while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE)) {
        struct ticket t;

        if (seal(&t) != 1 || unseal(&t) < 1)
            ++*lost;
    }
    return NULL;
}

static void test_rotated_while_used(void **state)
{
    struct conf_process p = {.tickets = CONF_TICKETS_MEMORY, .ticket_rotation = HOUR};
    pthread_t threads[2];
    unsigned long lost[2] = {0, 0};

    use.tickets = tls_tickets_new(&p);
    tls_tickets_refresh(use.tickets, &p, 1000);
    __atomic_store_n(&stop, false, __ATOMIC_RELEASE);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, sealer, &lost[i]), 0);
    for (uint64_t i = 1; i <= 20; i++) {
        tls_tickets_refresh(use.tickets, &p, 1000 + i * HOUR);
        usleep(2000);
    }
    __atomic_store_n(&stop, true, __ATOMIC_RELEASE);
    for (int i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
        assert_true(lost[i] <= 20); /* one that was sealed before two rotations */
    }
    tls_tickets_free(use.tickets);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rotation), cmocka_unit_test(test_unknown_and_changed),
        cmocka_unit_test(test_lifetime), cmocka_unit_test(test_file),
        cmocka_unit_test(test_bad_file), cmocka_unit_test(test_file_layout),
        cmocka_unit_test(test_kinds),    cmocka_unit_test(test_rotated_while_used),
    };

    return cmocka_run_group_tests_name("tls_tickets", tests, group_setup, group_teardown);
}
