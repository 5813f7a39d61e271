/*
 * Numbers of the TLS registries and their words.
 */
#include <stdio.h>
#include <stdlib.h>
#include "trial_int.h"

struct code_name {
    uint32_t code;
    const char *name;
};

static const struct code_name suites[] = {
#define SUITE(code, name) {code, name},
#include "suites.def"
#undef SUITE
};
static const struct code_name extensions[] = {
#define EXTENSION(code, name) {code, name},
#include "extensions.def"
#undef EXTENSION
};
static const struct code_name groups[] = {
#define GROUP(code, name) {code, name},
#include "groups.def"
#undef GROUP
};
static const struct code_name signatures[] = {
#define SIGNATURE(code, name) {code, name},
#include "signatures.def"
#undef SIGNATURE
};
static const struct code_name versions[] = {{TRIAL_SSL2, "ssl2"},    {TRIAL_SSL3, "ssl3"},
                                            {TRIAL_TLS10, "tls1.0"}, {TRIAL_TLS11, "tls1.1"},
                                            {TRIAL_TLS12, "tls1.2"}, {TRIAL_TLS13, "tls1.3"}};
static const struct code_name compressions[] = {{0, "none"}, {1, "deflate"}, {64, "lzs"}};

static const struct {
    const struct code_name *v;
    size_t n;
} tables[] = {
#define TABLE(t)                                                                                             \
    {                                                                                                        \
        t, sizeof(t) / sizeof((t)[0])                                                                        \
    }
    [TRIAL_SUITES] = TABLE(suites),     [TRIAL_EXTENSIONS] = TABLE(extensions),
    [TRIAL_GROUPS] = TABLE(groups),     [TRIAL_SIGNATURES] = TABLE(signatures),
    [TRIAL_VERSIONS] = TABLE(versions), [TRIAL_COMPRESSIONS] = TABLE(compressions),
    [TRIAL_NUMBERS] = {NULL, 0},
#undef TABLE
};

bool trial_codes_add(struct trial_codes *c, uint32_t code)
{
    if (c->n >= TRIAL_CODES_MAX)
        return false;
    c->v[c->n++] = code;
    return true;
}

bool trial_codes_has(const struct trial_codes *c, uint32_t code)
{
    for (unsigned i = 0; i < c->n; i++) {
        if (c->v[i] == code)
            return true;
    }
    return false;
}

bool trial_is_grease(uint32_t code)
{
    return code <= 0xffff && (code & 0x0f0f) == 0x0a0a && (code >> 8) == (code & 0xff);
}

static bool parse_hex(struct str s, uint32_t max, uint32_t *ret)
{
    uint32_t value = 0;

    if (s.n < 3 || s.n > 8 || s.p[0] != '0' || s.p[1] != 'x')
        return false;
    for (size_t i = 2; i < s.n; i++) {
        char c = ascii_lower(s.p[i]);

        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
            return false;
        value = value << 4 | (uint32_t)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    *ret = value;
    return value <= max;
}

bool trial_code_parse(enum trial_table t, struct str word, uint32_t *ret)
{
    uint64_t number;

    if (t == TRIAL_NUMBERS) {
        if (!str_to_u64(word, &number) || number > 255)
            return false;
        *ret = (uint32_t)number;
        return true;
    }
    if (str_eq(word, STR("grease"))) {
        *ret = TRIAL_GREASE;
        return true;
    }
    for (size_t i = 0; i < tables[t].n; i++) {
        if (str_eq_nocase(word, str_of(tables[t].v[i].name))) {
            *ret = tables[t].v[i].code;
            return true;
        }
    }
    if (t == TRIAL_SUITES && str_starts_nocase(word, STR("sslv2_"))) {
        if (!parse_hex((struct str){word.p + 6, word.n - 6}, 0xffffff, ret))
            return false;
        *ret |= TRIAL_SSLV2;
        return true;
    }
    return parse_hex(word, 0xffff, ret);
}

const char *trial_code_name(enum trial_table t, uint32_t code, char ret[64])
{
    if (t != TRIAL_NUMBERS && trial_is_grease(code)) {
        snprintf(ret, 64, "grease");
        return ret;
    }
    for (size_t i = 0; i < tables[t].n; i++) {
        if (tables[t].v[i].code == code) {
            snprintf(ret, 64, "%s", tables[t].v[i].name);
            return ret;
        }
    }
    if (t == TRIAL_NUMBERS)
        snprintf(ret, 64, "%u", code);
    else if (code & TRIAL_SSLV2)
        snprintf(ret, 64, "sslv2_0x%06x", code & 0xffffff);
    else
        snprintf(ret, 64, "0x%04x", code);
    return ret;
}

static struct str name_at(const void *ctx, size_t i)
{
    return str_of(((const struct code_name *)ctx)[i].name);
}

struct str trial_code_near(enum trial_table t, struct str word)
{
    return conf_nearest(word, tables[t].n, name_at, tables[t].v);
}

const char *trial_version_name(unsigned version)
{
    switch (version) {
    case TRIAL_SSL2:
        return "SSL 2.0";
    case TRIAL_SSL3:
        return "SSL 3.0";
    case TRIAL_TLS10:
        return "TLS 1.0";
    case TRIAL_TLS11:
        return "TLS 1.1";
    case TRIAL_TLS12:
        return "TLS 1.2";
    case TRIAL_TLS13:
        return "TLS 1.3";
    default:
        return "no version";
    }
}

static bool ends(const char *name, const char *with)
{
    return str_ends_nocase(str_of(name), str_of(with));
}

static bool begins(const char *name, const char *with)
{
    return strncmp(name, with, strlen(with)) == 0;
}

struct trial_suite trial_suite_of(uint32_t code)
{
    struct trial_suite s = {KX_NONE, AUTH_NONE, false, false, false, false};
    char name[64];

    trial_code_name(TRIAL_SUITES, code, name);
    s.tls13 = code >> 8 == 0x13;
    s.chacha = strstr(name, "CHACHA20") != NULL;
    s.needs_tls12 = s.chacha || strstr(name, "_GCM_") != NULL || strstr(name, "_CCM") != NULL ||
                    ends(name, "CBC_SHA256") || ends(name, "CBC_SHA384") || ends(name, "NULL_SHA256");
    s.old = strstr(name, "EXPORT") != NULL || strstr(name, "RC4") != NULL || strstr(name, "_DES_") != NULL ||
            strstr(name, "RC2") != NULL || strstr(name, "IDEA") != NULL || strstr(name, "3DES") != NULL ||
            strstr(name, "SEED") != NULL || ends(name, "_OLD");
    if (s.tls13) {
        s.kx = KX_ANY;
        s.auth = AUTH_ANY;
    } else if (begins(name, "RSA_WITH_")) {
        s.kx = KX_RSA;
        s.auth = AUTH_RSA;
    } else if (begins(name, "DHE_RSA_")) {
        s.kx = KX_DHE;
        s.auth = AUTH_RSA;
    } else if (begins(name, "ECDHE_RSA_") || begins(name, "ECDHE_ECDSA_")) {
        s.kx = KX_ECDHE;
        s.auth = begins(name, "ECDHE_RSA_") ? AUTH_RSA : AUTH_ECDSA;
    }
    return s;
}
