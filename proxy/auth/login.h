/*
 * login: a name as the client wrote it, made into what a directory is asked with.
 *
 * Templates hold {user}, {domain} and {account}; filters of groups also {dn}. What is put in is harmless by construction: in DNs
 * (RFC 4514) and filters (RFC 4515) every octet that is not a plain letter, digit or one of " '-.@_" is written as a
 * backslash and two hexadecimal digits, which is the same form in both. In a template that is neither (user@domain, DOMAIN\user)
 * nothing can be escaped, so names with characters that no account name holds are unknown there.
 */
#ifndef POSTERN_LOGIN_H
#define POSTERN_LOGIN_H

#include <postern/account.h>
#include <postern/conf.h>

#define LOGIN_TEXT_MAX 2048 /* of a bind name, DN or filter */

struct login {
    struct str user;
    struct str domain;  /* as written, else the directory's default_domain; p NULL: none */
    struct str account; /* as written */
    struct str dn;
};

enum login_place { LOGIN_PLAIN, LOGIN_DN, LOGIN_FILTER };

/* False: no account of this directory can have the name (another domain, not UTF-8, control characters, empty parts, spaces at
 * an end). The parts point into `c` and `d`. */
bool login_parse(const struct conf_directory *d, const struct basic_credentials *c, struct login *ret);

/* The template is a DN when it has a "=". */
enum login_place login_place_of(struct str bind_as);

/* NUL-terminated into `out`; its length, or -1: too long, or the name cannot stand there. */
ptrdiff_t login_expand(struct str template, const struct login *l, enum login_place place, char *out,
                       size_t size);

/* NULL, or what is wrong with a template. `needs_name`: it must hold {user} or {account}. */
const char *login_template_fault(struct str template, bool needs_name);

/* Whether the bytes are well-formed UTF-8 (RFC 3629) without control characters. */
bool login_is_text(struct str s);

#endif
