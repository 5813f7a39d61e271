/*
 * account: names and Basic credentials as they arrive (RFC 7617), before anybody has proved anything. Any thread.
 */
#ifndef POSTERN_ACCOUNT_H
#define POSTERN_ACCOUNT_H

#include <stdbool.h>
#include <postern/conf.h>
#include <postern/str.h>

#define ACCOUNT_NAME_MAX 256
#define ACCOUNT_PASSWORD_MAX 256
/* A name as it is known here: of octets that were not UTF-8 each may have become three. */
#define ACCOUNT_NORMAL_MAX (3 * ACCOUNT_NAME_MAX)

/* Decoded Basic credentials. Holds a password: account_forget() it. */
struct basic_credentials {
    char user[ACCOUNT_NAME_MAX + 1];
    char password[ACCOUNT_PASSWORD_MAX + 1];
    size_t user_n, password_n;
};

enum basic_result {
    BASIC_OK,
    BASIC_ABSENT,    /* another scheme */
    BASIC_MALFORMED, /* bad base64, no colon, controls, over-long */
    BASIC_EMPTY      /* empty user or password: refused locally, an LDAP server would take it for anonymous */
};
/* `value`: the whole Authorization value. *ret is filled only on BASIC_OK. */
enum basic_result basic_parse(struct str value, struct basic_credentials *ret);
void basic_forget(struct basic_credentials *c);
/* "Basic <base64>" into `out`; -1 when too small. */
ptrdiff_t basic_write(struct str user, struct str password, char *out, size_t size);

/* Old clients send ISO-8859-1, new ones UTF-8 (RFC 7617 2.1); the octets alone must tell. */
enum basic_charset { BASIC_UTF8, BASIC_LATIN1 };
/* UTF-8 where the octets of both parts are valid as such, else ISO-8859-1. */
enum basic_charset basic_charset_of(const struct basic_credentials *c);
/* What a directory is asked with: both parts in UTF-8. False: too long, or characters that mean nothing. */
bool basic_read_as(const struct basic_credentials *c, enum basic_charset charset,
                   struct basic_credentials *ret);
/* Valid UTF-8, but a sensible text in ISO-8859-1 too: worth one second try. */
bool basic_is_ambiguous(const struct basic_credentials *c);

/* DOMAIN\user, user@domain, user. The parts point into `name`. */
struct account {
    struct str user, domain; /* domain.p NULL: none given */
};
struct account account_parse(struct str name);
/* The form in which user files and affinity know it: the user part, lower case (Latin, Greek, Cyrillic), UTF-8. Length, or -1
 * when it does not fit. */
ptrdiff_t account_normal(struct str name, char *out, size_t size);
/* The member of a chain that is asked about the name next, from `i` on: of those that list its domain or, where none does, of those
 * that take any. members_n: none. */
size_t account_member(struct str name, const struct conf_directory *chain, size_t i);
/* The directory whose account the name would be: `d`, or the first member of a chain that is asked. NULL: the domain is refused
 * everywhere. */
const struct conf_directory *account_directory(struct str name, const struct conf_directory *d);
/* The one form of an account of directory `d`, however it was written: "user", or "user@domain" where `other_domains: apart`
 * makes it another account. `d` is no chain. Length; -1: the domain is refused, the user part is empty, or it does not fit. */
ptrdiff_t account_of(struct str name, const struct conf_directory *d, char *out, size_t size);
/* The domain as written, in lower case. Length, 0: none is; -1: it does not fit. */
ptrdiff_t account_domain(struct str name, char *out, size_t size);
/* What remains of a normal form when marks, width, fashion, unseen characters and needless spaces are taken away: Active Directory
 * and OpenLDAP take names that differ only in these for the same account, so counters must too. Cut at `size`. */
size_t account_skeleton(struct str normal, char *out, size_t size);
/* The name in the form that a backend wants. What cannot be written so (no such domain is known) stays as it was sent. `d`: as of account_directory.
 * The result is part of `name`, or lies in `out`. */
struct str account_written(struct str name, const struct conf_directory *d, enum conf_delegate form,
                           char *out, size_t size);

/* Which scheme an Authorization or WWW-Authenticate value names. */
enum auth_scheme { AUTH_SCHEME_OTHER, AUTH_SCHEME_BASIC, AUTH_SCHEME_NTLM, AUTH_SCHEME_NEGOTIATE };
enum auth_scheme auth_scheme_of(struct str value);
/* Whether a WWW-Authenticate value, which may be a list (RFC 9110 11.6.1), offers the scheme. */
bool auth_offers(struct str value, enum auth_scheme s);
/* NTLM and Negotiate authenticate the connection, not the request (MS-NTHT 1.3, RFC 4559 6). */
static inline bool auth_scheme_binds(enum auth_scheme s)
{
    return s == AUTH_SCHEME_NTLM || s == AUTH_SCHEME_NEGOTIATE;
}

#endif
