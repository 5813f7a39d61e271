/*
 * What the check of certificates says of each kind that certs/make-certs makes. POSTERN_MAKE_CERTS is that
 * script, POSTERN_CERTS a folder of this test alone.
 */
#include <fnmatch.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include <openssl/err.h>

#include "certificates_int.h"

#define FOUND_MAX 8

/* "LINE: severity: text" of each finding, in the order of the file. */
struct found {
    char *text[FOUND_MAX];
    size_t n;
};

/* Lines 1 to 5 of every file; a case's own lines follow, which begin with the certificate `mail`. */
static const char frame[] = "listeners: [{address: \"127.0.0.1:8443\", certificates: [%s], tls: %s}]\n"
                            "backends: {origin: {servers: [\"https://cas\"], trust: %s}}\n"
                            "publish: [{hosts: [%s], to: origin, authenticate: none, services: [owa]}]\n"
                            "certificates:\n"
                            "  mail:\n"
                            "%s";

/* Expected findings are fnmatch patterns, as many as there are findings, in order. */
struct trial {
    const char *name;
    const char *lines; /* of the certificate, from line 6 on */
    const char *expected[FOUND_MAX];
    const char *hosts;        /* default: mail.example.com, localhost */
    const char *certificates; /* of the listener; default: mail */
    const char *trust;        /* of the backend; default: empty.pem */
    const char *tls;          /* of the listener; default: intermediate */
};

#define FILES(chain, key) "    chain: " chain "\n    key: " key "\n"
#define BOTH(name) FILES(name ".pem", name ".key")
#define ORDER_NEW "; order a new one and put it into this file"
#define FETCH "; fetch a new one: openssl ocsp -issuer *"

/* A row says only what differs from the defaults. */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

static const struct trial trials[] = {
    /* ---- nothing to say ---- */
    {"san", BOTH("san"), {NULL}},
    {"san-ecdsa", BOTH("san-ecdsa"), {NULL}},
    {"root at the end", FILES("san-with-root.pem", "san.key"), {NULL}},
    {"one file for both", FILES("san-with-key.pem", "san-with-key.pem"), {NULL}},
    {"encrypted", BOTH("encrypted") "    passphrase_file: encrypted.pass\n", {NULL}},
    {"encrypted the old way",
     FILES("encrypted.pem", "encrypted-traditional.key") "    passphrase_file: encrypted.pass\n",
     {NULL}},
    {"RSA and ECDSA for one name",
     BOTH("san") "  more:\n" BOTH("san-ecdsa"),
     {NULL},
     .certificates = "mail, more"},
    {"a wildcard", BOTH("wildcard"), {NULL}, .hosts = "mail.example.com, owa.example.com, example.com"},
    {"a published wildcard", BOTH("wildcard-ecdsa"), {NULL}, .hosts = "\"*.example.com\""},
    {"any host", BOTH("wrong-name"), {NULL}, .hosts = "\"*\""},
    {"addresses", BOTH("san"), {NULL}, .hosts = "127.0.0.1, \"[::1]\""},
    {"names of two certificates",
     BOTH("san") "  more:\n" BOTH("wrong-name"),
     {NULL},
     .hosts = "mail.example.com, www.example.net",
     .certificates = "mail, more"},
    {"self-signed, allowed", BOTH("self-signed") "    allow_self_signed: true\n", {NULL}},
    {"private root known from a trust bundle", BOTH("private-root"), {NULL}, .trust = "trust.pem"},
    {"good staple", BOTH("san") "    ocsp: san.ocsp\n", {NULL}},

    /* ---- files ---- */
    {"no certificate",
     FILES("san.key", "san.key"),
     {"6: error: certificate `mail`: *san.key holds a key but no certificate; give the certificate here and "
      "the key "
      "under `key`"}},
    {"something else",
     FILES("encrypted.pass", "san.key"),
     {"6: error: certificate `mail`: *encrypted.pass holds no certificate; give a PEM file: the server's "
      "certificate, "
      "then its intermediates in order"}},
    {"empty",
     FILES("empty.pem", "empty.pem"),
     {"6: error: *holds no certificate;*", "7: error: *holds no private key;*"}},
    {"damaged",
     FILES("damaged.pem", "san.key"),
     {"6: error: *damaged.pem is damaged at certificate 2 (*); copy it again"}},
    {"a bundle",
     FILES("bundle.pem", "san.key"),
     {"6: error: *bundle.pem holds more than 16 certificates; give the server's "
      "and its intermediates"}},
    {"DER",
     FILES("san.der", "san.key"),
     {"6: error: *san.der is DER, not PEM; convert it: openssl x509 -inform der *"}},
    {"PKCS#12",
     FILES("san.pfx", "san.pfx"),
     {"6: error: *san.pfx is a PKCS#12 file (.pfx); take it apart: openssl pkcs12 -in FILE -nokeys *",
      "7: error: *san.pfx is a PKCS#12 file (.pfx); take it apart: openssl pkcs12 *"}},
    {"PKCS#7",
     FILES("san.p7b", "san.key"),
     {"6: error: *san.p7b is a PKCS#7 file (.p7b); convert it: openssl pkcs7 *"}},
    {"request",
     FILES("san.csr", "san.key"),
     {"6: error: *san.csr is a signing request; give the certificate that the authority made of it"}},

    /* ---- keys ---- */
    {"key of another",
     BOTH("wrong-key"),
     {"7: error: certificate `mail`: the key wrong-key.key does not belong to the certificate in "
      "*wrong-key.pem "
      "(`CN=mail.example.com`); give the key that the certificate was ordered with, or order a certificate "
      "for this key"}},
    {"no key",
     FILES("san.pem", "san.pem"),
     {"7: error: *san.pem holds no private key; give the PEM file of the key that the certificate was "
      "ordered with"}},
    {"public key",
     FILES("san.pem", "san-public.pem"),
     {"7: error: * holds a public key alone; give the private key"}},
    {"DER key",
     FILES("san.pem", "san-key.der"),
     {"7: error: * is DER, not PEM; convert it: openssl pkey -inform der *"}},
    {"damaged key",
     FILES("san.pem", "damaged.key"),
     {"7: error: *damaged.key is damaged or holds a key of an unknown kind; copy it again"}},
    {"encrypted without pass phrase",
     BOTH("encrypted"),
     {"7: error: certificate `mail`: the key encrypted.key is encrypted; put its pass phrase into a file "
      "and name it with "
      "`passphrase_file`, or decrypt the key: openssl pkey *"}},
    {"wrong pass phrase",
     BOTH("encrypted") "    passphrase_file: wrong.pass\n",
     {"8: error: certificate `mail`: the pass phrase in wrong.pass does not open the key encrypted.key; "
      "its first line "
      "must be the pass phrase alone"}},
    {"wrong pass phrase, old way",
     FILES("san.pem", "encrypted-traditional.key") "    passphrase_file: wrong.pass\n",
     {"8: error: *does not open the key encrypted-traditional.key; *"}},
    {"pass phrase too long",
     BOTH("encrypted") "    passphrase_file: long.pass\n",
     {"8: error: *the pass phrase in long.pass is too long; encrypt the key with a shorter one"}},
    {"pass phrase for nothing",
     BOTH("san") "    passphrase_file: encrypted.pass\n",
     {"8: warning: *the key san.key is not encrypted and needs no pass phrase; take `passphrase_file` out, "
      "or encrypt *"}},
    {"key for everybody",
     FILES("san.pem", "open.key"),
     {"7: warning: *every user of this machine may read the key open.key; take that right away: chmod "
      "o-rwx open.key"}},

    /* ---- chains ---- */
    {"leaf not first",
     BOTH("out-of-order"),
     {"6: error: *out-of-order.pem is out of order: certificate 2 of it (`CN=mail.example.com`) is the "
      "server's own; put it "
      "first, then its issuer, then the issuer's issuer"}},
    {"leaf not first and no key",
     FILES("out-of-order.pem", "empty.pem"),
     {"6: error: *out-of-order.pem is out of order: certificate 2 of it (`CN=mail.example.com`) is the "
      "server's own; put it "
      "first, then its issuer, then the issuer's issuer",
      "7: error: *holds no private key*"}},
    {"issuer too late",
     FILES("swapped.pem", "san.key"),
     {"6: error: *swapped.pem is out of order: certificate 1 (`CN=mail.example.com`) was issued by "
      "certificate 3 "
      "(`CN=Postern Demo Issuing CA,O=Postern demo`), which must follow it; change the order"}},
    {"more after the root",
     FILES("surplus.pem", "san.key"),
     {"6: error: *surplus.pem goes on after certificate 3 (`CN=Postern Demo Root CA,O=Postern demo`), which "
      "signed itself; "
      "take what follows it out"}},
    {"intermediate missing at the end",
     BOTH("no-intermediate"),
     {"6: error: certificate `mail`: *no-intermediate.pem lacks the intermediate `CN=Postern Demo Issuing "
      "CA,O=Postern "
      "demo`, which issued `CN=mail.example.com`; phones and most other clients do not fetch it: append it "
      "to the file"}},
    {"intermediate missing in between",
     BOTH("gap"),
     {"6: error: *gap.pem lacks the intermediate `CN=Postern Demo Issuing CA,O=Postern demo`, which issued "
      "certificate 1 "
      "(`CN=mail.example.com`): certificate 2 is `CN=Postern Demo Root CA,O=Postern demo`; put `CN=Postern "
      "Demo Issuing "
      "CA,O=Postern demo` between them"}},
    {"intermediate of another generation",
     BOTH("other-intermediate"),
     {"6: error: certificate `mail`: certificate 2 of other-intermediate.pem (`CN=Postern Demo Issuing "
      "CA,O=Postern demo`) "
      "bears the name of the issuer of certificate 1 (`CN=mail.example.com`) but did not sign it; get the "
      "intermediate of "
      "that name that belongs to it from the authority"}},
    {"intermediate of another key and no identifiers",
     FILES("namesake.pem", "namesake.key"),
     {"6: error: *certificate 2 of namesake.pem (`CN=Namesake`) bears the name of the issuer of certificate 1 "
      "(`CN=mail.example.com`) but did not sign it; *"}},
    {"issuer is no authority",
     BOTH("no-authority"),
     {"6: error: *certificate 2 of no-authority.pem (`CN=\\*.example.com`) signed certificate 1 "
      "(`CN=mail.example.com`) but "
      "is no authority *; order a certificate from an authority"}},
    {"issuer unknown",
     BOTH("private-root"),
     {"6: warning: *private-root.pem holds `CN=mail.example.com` alone, and its issuer `CN=Corp Demo CA,*` "
      "is not known "
      "here; if that is an intermediate, append it to the file, as clients do not fetch it; if it is your "
      "own root, which "
      "clients have, append it as well and this warning ends"}},
    {"issuer unknown, leaf of a public authority",
     BOTH("public"),
     {"6: error: *public.pem lacks the intermediate `CN=Corp Demo CA,*`; phones * append it to the file"}},
    {"issuer unknown, but where to fetch it is told",
     BOTH("aia"),
     {"6: error: *aia.pem lacks the intermediate `CN=Corp Demo CA,*`; phones * append it to the file; the authority has it at "
      "http://aia.example.com/issuer.cer"}},
    {"issuer unknown, of a Windows authority", BOTH("directory"), {"6: warning: *is not known here; *"}},
    {"issuer unknown, but a root by the key identifier", FILES("by-backend-ca.pem", "san.key"), {NULL}},
    {"issuer unknown, but none by the key identifier",
     FILES("by-same1.pem", "san.key"),
     {"6: error: *by-same1.pem lacks the intermediate `CN=Namesake`, *"}},
    {"intermediate known from another chain",
     BOTH("below-old") "  other:\n" FILES("below-old-leaf.pem", "below-old.key"),
     {"1: warning: *never serves certificate `other`*",
      "6: error: *`CN=Postern Demo Old CA,*` of below-old.pem expired on 2021-01-01; get the one that "
      "replaces it from the "
      "authority and put it into this file",
      "9: error: certificate `other`: *below-old-leaf.pem lacks the intermediate `CN=Postern Demo Old CA,*"},
     .certificates = "mail, other"},

    /* ---- self-signed ---- */
    {"self-signed",
     BOTH("self-signed"),
     {"6: error: certificate `mail`: *self-signed.pem (`CN=mail.example.com`) is self-signed, so no client "
      "trusts it; have an "
      "authority sign it, or, in a laboratory, say `allow_self_signed: true`"}},
    {"self-signed and more",
     FILES("self-and-more.pem", "self-signed.key") "    allow_self_signed: true\n",
     {"6: error: *self-and-more.pem goes on after certificate 1 (`CN=mail.example.com`), which signed "
      "itself; take what "
      "follows it out"}},
    {"Exchange's own",
     BOTH("default-server"),
     {"6: error: *default-server.pem (`CN=CAS1`) is the certificate that Exchange Server makes for itself, "
      "which no client "
      "trusts; order one with the published names, or, in a laboratory, say `allow_self_signed: true`"},
     .hosts = "cas1.corp.example.com"},
    {"Exchange's own by its friendly name",
     FILES("friendly.pem", "self-signed.key"),
     {"6: error: *friendly.pem * is the certificate that Exchange Server makes for itself*"}},
    {"WMSvc",
     BOTH("wmsvc"),
     {"6: error: * is the certificate that the Web Management Service of Windows makes for itself*"},
     .hosts = "\"*\""},
    {"snakeoil",
     BOTH("snakeoil"),
     {"6: error: * is the certificate that Debian's ssl-cert package makes for itself*"},
     .hosts = "gate.example.com"},
    {"localhost",
     BOTH("localhost"),
     {"6: error: * is the certificate that a web server makes for itself*"},
     .hosts = "localhost"},
    {"a default one, allowed",
     BOTH("default-server") "    allow_self_signed: true\n",
     {NULL},
     .hosts = "cas1"},

    /* ---- dates ---- */
    {"expired",
     BOTH("expired"),
     {"6: error: certificate `mail`: `CN=mail.example.com` of expired.pem expired on "
      "2021-01-01" ORDER_NEW}},
    {"not yet valid",
     BOTH("future"),
     {"6: error: *`CN=mail.example.com` of future.pem is not valid before 2090-01-01; check this machine's "
      "clock, or use "
      "one that is valid now"}},
    {"expires soon",
     BOTH("expiring"),
     {"6: warning: *`CN=mail.example.com` of expiring.pem expires in [0-9] days, on 20*" ORDER_NEW}},
    {"valid for too long",
     BOTH("long"),
     {"6: warning: * is valid for 1000 days, and Apple's devices refuse more than 825; order one for a "
      "shorter time"}},

    /* ---- keys, signatures, usages ---- */
    {"RSA 1024",
     BOTH("rsa1024"),
     {"1: error: listeners\\[0] cannot serve * has a key of the kind RSA 1024; *",
      "6: error: *`CN=mail.example.com` of rsa1024.pem has an RSA key of 1024 bits, which can be broken "
      "and clients refuse; "
      "make a key of 2048 bits and order a certificate for it"}},
    {"Ed25519",
     BOTH("ed25519"),
     {"6: warning: * has a key of the kind ED25519, which few clients know; RSA 2048, EC P-256 and EC P-384 "
      "are known to "
      "all"}},
    {"SHA-1",
     BOTH("sha1"),
     {"1: error: listeners\\[0] cannot serve certificate `mail` with `tls: intermediate`: `CN=mail.example.com` is signed with "
      "SHA1; order a certificate with RSA 2048 or EC P-256, signed with SHA-256, or, for old devices, give it a listener of its "
      "own with `tls: legacy10`",
      "6: warning: * is signed with SHA-1, which current clients refuse; have it issued again with SHA-256"}},
    {"SHA-1 for old devices",
     BOTH("sha1"),
     {"1: warning: *permits TLS 1.0*",
      "6: warning: * is signed with SHA-1, which current clients refuse; have it issued again with SHA-256"},
     .tls = "legacy10"},
    {"SHA-1 of nobody", /* a self-signature proves nothing */
     FILES("beside.pem", "beside.key") "    allow_self_signed: true\n",
     {NULL},
     .hosts = "other.example.com"},
    {"a curve too small",
     FILES("p192.pem", "p192.key") "    allow_self_signed: true\n",
     {"1: error: *`CN=p192` has a key of the kind EC P-192; order a certificate with RSA 2048 *",
      "6: warning: * has a key of the kind EC P-192, which few clients know*"},
     .hosts = "\"*\""},
    {"usage of clients",
     BOTH("client-usage"),
     {"6: error: * is not for servers (its extended key usage lacks serverAuth), so clients refuse it; order "
      "a certificate "
      "for server authentication",
      "6: error: * may not sign (its key usage lacks digitalSignature), *; order a certificate for a web "
      "server"}},
    {"no usage",
     BOTH("no-usage"),
     {"6: warning: * has no extended key usage, and Apple's devices demand serverAuth; order it again for "
      "server "
      "authentication"}},
    {"an authority as server",
     BOTH("intermediate"),
     {"6: error: *`CN=Postern Demo Issuing CA,O=Postern demo` of intermediate.pem is an authority's "
      "certificate, whose key "
      "must lie on no server; order a certificate for a server"},
     .hosts = "\"*\"",
     .trust = "trust.pem"},

    /* ---- staples ---- */
    {"staple of the revoked",
     BOTH("san") "    ocsp: san-revoked.ocsp\n",
     {"8: error: certificate `mail`: the OCSP response san-revoked.ocsp says that the certificate is "
      "revoked, and clients "
      "refuse it; order a new certificate with a new key"}},
    {"staple of the unknown",
     BOTH("san") "    ocsp: san-unknown.ocsp\n",
     {"8: error: *says that the authority does not know the certificate; ask the right responder: *"}},
    {"old staple",
     BOTH("san") "    ocsp: san-old.ocsp\n",
     {"8: warning: *the OCSP response san-old.ocsp is old, it was valid until 2021-02-01, and is not handed out any more" FETCH}},
    {"staple of another",
     BOTH("san-ecdsa") "    ocsp: san.ocsp\n",
     {"8: error: *the OCSP response san.ocsp is not for this certificate" FETCH}},
    {"staple of the future",
     BOTH("san") "    ocsp: san-future.ocsp\n",
     {"8: error: *san-future.ocsp is not valid before 2090-01-01; check this machine's clock, or fetch a new one: *"}},
    {"staple of an expired responder",
     BOTH("san") "    ocsp: san-expired-responder.ocsp\n",
     {"8: error: *san-expired-responder.ocsp is not signed by the certificate's authority or a responder that it vouches "
      "for*" FETCH}},
    {"forged staple",
     BOTH("san") "    ocsp: forged.ocsp\n",
     {"8: error: *the OCSP response forged.ocsp is not signed by the certificate's authority or a responder that it vouches for, and "
      "clients refuse it" FETCH}},
    {"no staple", BOTH("san") "    ocsp: san.pem\n", {"8: error: *san.pem is no OCSP response in DER" FETCH}},
    {"refusing responder",
     BOTH("san") "    ocsp: later.ocsp\n",
     {"8: error: *the OCSP response later.ocsp reports a failure of the responder (trylater)" FETCH}},
    {"staple demanded",
     BOTH("must-staple"),
     {"6: warning: *the certificate in must-staple.pem demands a stapled OCSP response, which some clients "
      "insist on; name "
      "one with `ocsp`, or order a certificate without that demand"}},
    {"staple without an issuer",
     FILES("private-root.pem", "private-root.key") "    ocsp: san.ocsp\n",
     {"6: warning: * is not known here; *", "8: error: *is not for this certificate" FETCH}},

    /* ---- names ---- */
    {"wrong name",
     BOTH("wrong-name"),
     {"3: error: host `mail.example.com` is published, but no certificate of listeners\\[0] "
      "(`127.0.0.1:8443`) covers it; "
      "there are `mail` (www.example.net); order a certificate with this name and add it to the listener's "
      "`certificates`, or "
      "take the host out of `hosts`"},
     .hosts = "mail.example.com"},
    {"two labels below a wildcard",
     BOTH("wildcard"),
     {"3: error: host `a.mail.example.com` is published, but no certificate * covers it (`\\*.example.com` "
      "covers exactly one "
      "label); there are `mail` (\\*.example.com, example.com); *"},
     .hosts = "a.mail.example.com"},
    {"a published wildcard and no such certificate",
     BOTH("san"),
     {"3: error: host `\\*.example.com` is published, *there are `mail` (mail.example.com, "
      "autodiscover.example.com, localhost, "
      "127.0.0.1, ::1); *"},
     .hosts = "\"*.example.com\""},
    {"another address",
     BOTH("san"),
     {"3: error: host `127.0.0.2` *", "3: error: host `0.0.0.0` *", "3: error: host `\\[7f00:1::]` *"},
     .hosts =
         "127.0.0.2, 0.0.0.0, \"[7f00:1::]\""}, /* the same octets in another family are another address */
    {"beside a wildcard's domain",
     BOTH("wildcard"),
     {"3: error: host `mail.anexample.com` is published, but no certificate * covers it; there are *"},
     .hosts = "mail.anexample.com"},
    {"CN beside other names",
     FILES("beside.pem", "beside.key") "    allow_self_signed: true\n",
     {"3: error: host `beside.example.com` is published, *there are `mail` (other.example.com); *"},
     .hosts = "beside.example.com"},
    {"CN alone",
     BOTH("cn-only"),
     {"3: warning: host `mail.example.com` stands on listeners\\[0] only in the CN of certificate `mail`, "
      "which current "
      "clients do not read; order it again with the name as subject alternative name (SAN)"},
     .hosts = "mail.example.com"},
    {"CN alone, other name",
     BOTH("cn-only"),
     {"3: error: host `autodiscover.example.com` is published, *there are `mail` (no names); *"},
     .hosts = "autodiscover.example.com"},
    {"a certificate behind another",
     BOTH("san") "  more:\n" BOTH("san-ecdsa") "  renewed:\n" FILES("san-with-root.pem", "san.key"),
     {"1: warning: listeners\\[0] never serves certificate `renewed`: `mail` before it has the same names and kind of key; "
      "take the one that you do not want out of `certificates`"},
     .certificates = "mail, more, renewed"},
    {"a certificate that no listener has",
     BOTH("san") "  spare:\n" BOTH("expired"),
     {"8: warning: certificate `spare` is used by no listener",
      "9: error: certificate `spare`: * expired on 2021-01-01" ORDER_NEW}},
    {"everything at once",
     FILES("expired.pem", "san.key") "    ocsp: san.ocsp\n",
     {"3: error: host `www.example.net` *", "6: error: * expired on *",
      "7: error: *the key * does not belong *", "8: error: *is not for this certificate*"},
     .hosts = "www.example.net"},
};

/* ---- the check of one configuration ---- */

static char folder[4096];

static void keep(void *ctx, enum conf_severity s, struct conf_mark where, const char *text)
{
    struct found *f = ctx;

    assert_true(f->n < FOUND_MAX);
    assert_non_null(where.file);
    assert_null(strstr(text, "demo passphrase"));
    assert_true(asprintf(&f->text[f->n++], "%u: %s: %s", where.line, s == CONF_ERROR ? "error" : "warning",
                         text) > 0);
}

static void forget(struct found *f)
{
    while (f->n > 0)
        free(f->text[--f->n]);
}

static void write_file(const char *name, const char *text, size_t n)
{
    FILE *f = fopen(name, "w");

    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static struct snapshot *load(const struct trial *t, struct conf_findings *f)
{
    struct snapshot *s;
    char *text;
    int n = asprintf(&text, frame, t->certificates != NULL ? t->certificates : "mail",
                     t->tls != NULL ? t->tls : "intermediate", t->trust != NULL ? t->trust : "empty.pem",
                     t->hosts != NULL ? t->hosts : "mail.example.com, localhost", t->lines);

    assert_true(n > 0);
    write_file("trial.yaml", text, (size_t)n);
    free(text);
    s = conf_load("trial.yaml", f);
    if (s == NULL)
        conf_findings_print(f, stderr);
    assert_non_null(s);
    return s;
}

static void check(const struct trial *t, struct found *ret)
{
    struct conf_findings *f = conf_findings_new();
    struct snapshot *s = load(t, f);

    certificates_check(s, f);
    assert_int_equal(ERR_peek_error(), 0);
    conf_findings_each(f, keep, ret);
    snapshot_release(s);
    conf_findings_free(f);
}

static bool is_as_expected(const struct trial *t, const struct found *f)
{
    size_t n = 0;

    while (n < FOUND_MAX && t->expected[n] != NULL && n < f->n && fnmatch(t->expected[n], f->text[n], 0) == 0)
        n++;
    if (n == f->n && (n == FOUND_MAX || t->expected[n] == NULL))
        return true;
    print_message("%s: finding %zu is not \"%s\"\n", t->name, n + 1,
                  n < FOUND_MAX && t->expected[n] != NULL ? t->expected[n] : "(nothing)");
    for (size_t i = 0; i < f->n; i++)
        print_message("  %s\n", f->text[i]);
    return false;
}

static void trial_holds(void **state)
{
    const struct trial *t = *state;
    struct found f = {0};

    check(t, &f);
    assert_true(is_as_expected(t, &f));
    forget(&f);
}

/* ---- what the system trusts ---- */

static void root_of_the_system(void **state)
{
    static const struct trial t = {"system", BOTH("private-root"), {NULL}};
    struct found f = {0};

    setenv("SSL_CERT_FILE", "backend-ca.pem", 1);
    check(&t, &f);
    assert_int_equal(f.n, 0);
    setenv("SSL_CERT_FILE", "empty.pem", 1);
}

/* An intermediate that this machine has is none that clients have. */
static void intermediate_of_the_system(void **state)
{
    static const struct trial t = {"system", FILES("below-old-leaf.pem", "below-old.key"), {NULL}};
    struct found f = {0};

    setenv("SSL_CERT_FILE", "old-intermediate.pem", 1);
    check(&t, &f);
    assert_int_equal(f.n, 1);
    assert_int_equal(fnmatch("6: error: *lacks the intermediate `CN=Postern Demo Old CA*", f.text[0], 0), 0);
    forget(&f);
    setenv("SSL_CERT_FILE", "empty.pem", 1);
}

/* ---- files that are not read, as of a fuzzed or shown configuration ---- */

static void without_bytes(void **state)
{
    static const char text[] =
        "listeners: [{address: \"127.0.0.1:8443\", certificates: [mail]}]\n"
        "backends: {origin: {servers: [\"https://cas\"]}}\n"
        "publish: [{hosts: [a.example], to: origin, authenticate: none, services: [owa]}]\n"
        "certificates: {mail: {chain: a, key: b, ocsp: c, passphrase_file: d}}\n";
    struct conf_findings *f = conf_findings_new();
    struct snapshot *s = conf_load_memory("t.yaml", str_of(text), f);
    struct certificate_facts facts;

    assert_non_null(s);
    certificates_check(s, f);
    assert_int_equal(conf_findings_count(f, CONF_ERROR), 2);
    assert_int_equal(certificates_facts(&s->certificates[0], &facts), -1);
    assert_int_equal(ERR_peek_error(), 0);
    snapshot_release(s);
    conf_findings_free(f);
}

/* ---- names ---- */

static void names(void **state)
{
    static const struct {
        const char *name, *host;
        bool covers;
    } rows[] = {
        {"mail.example.com", "mail.example.com", true},
        {"MAIL.Example.COM", "mail.example.com", true},
        {"mail.example.com", "mail.example.co", false},
        {"*.example.com", "mail.example.com", true},
        {"*.example.com", "a.mail.example.com", false},
        {"*.example.com", "example.com", false},
        {"*.example.com", ".example.com", false},
        {"*.example.com", "*.example.com", true},
        {"mail.example.com", "*.example.com", false},
        {"m*.example.com", "mail.example.com", false},
        {"*il.example.com", "mail.example.com", false},
        {"mail.*.com", "mail.example.com", false},
        {"*.*.com", "mail.example.com", false},
        {"*.com", "example.com", false},
        {"*", "localhost", false},
        {"*.", "a.", false},
        {"", "", false},
        {"*.example.com", "", false},
        {"localhost", "localhost", true},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (certificate_name_covers(str_of(rows[i].name), str_of(rows[i].host)) != rows[i].covers)
            fail_msg("%s for %s", rows[i].name, rows[i].host);
    }
    assert_false(certificate_name_covers((struct str){"mail.example.com\0.evil.example", 30},
                                         STR("mail.example.com")));
}

/* ---- facts ---- */

static void facts_of(const char *lines, struct certificate_facts *ret)
{
    struct trial t = {.name = "facts", .lines = lines};
    struct conf_findings *f = conf_findings_new();
    struct snapshot *s = load(&t, f);

    assert_int_equal(certificates_facts(&s->certificates[0], ret), 0);
    assert_int_equal(ERR_peek_error(), 0);
    snapshot_release(s);
    conf_findings_free(f);
}

static void facts(void **state)
{
    struct certificate_facts f;

    facts_of(BOTH("san"), &f);
    assert_string_equal(f.subject, "CN=mail.example.com");
    assert_string_equal(f.issuer, "CN=Postern Demo Issuing CA,O=Postern demo");
    assert_string_equal(f.names, "mail.example.com, autodiscover.example.com, localhost, 127.0.0.1, ::1");
    assert_string_equal(f.key, "RSA 2048");
    assert_in_range(f.days_left, 366, 397);
    facts_of(BOTH("wildcard-ecdsa"), &f);
    assert_string_equal(f.key, "EC P-256");
    assert_string_equal(f.names, "*.example.com, example.com");
    facts_of(BOTH("expired"), &f);
    assert_int_equal(f.not_after, 1609459200);
    assert_true(f.days_left < -1000);
    facts_of(BOTH("cn-only"), &f);
    assert_string_equal(f.names, "");
    facts_of(BOTH("ed25519"), &f);
    assert_string_equal(f.key, "ED25519");
}

static struct str whole(const char *name, char *buf, size_t size)
{
    FILE *f = fopen(name, "r");
    size_t n;

    assert_non_null(f);
    n = fread(buf, 1, size, f);
    fclose(f);
    return (struct str){buf, n};
}

static void names_are_cut_whole(void **state)
{
    char pem[16384], why[CERTIFICATE_TEXT], text[40];
    STACK_OF(X509) *chain = certificate_read_all(whole("san.pem", pem, sizeof(pem)), why);
    struct certificate_names n;

    assert_non_null(chain);
    certificate_names_take(sk_X509_value(chain, 0), &n);
    assert_int_equal(certificate_names_print(&n, text, sizeof(text)), 21);
    assert_string_equal(text, "mail.example.com, ...");
    assert_int_equal(certificate_names_print(&n, text, 10), 3);
    assert_string_equal(text, "...");
    certificate_names_free(&n);
    sk_X509_pop_free(chain, X509_free);
}

/* ---- the folder ---- */

/* What certs/make-certs does not make, as only this test has a use for it. Runs in the folder. */
static const char more[] =
    "umask 077; : >empty.pem; echo 'not it' >wrong.pass; head -c 2000 /dev/zero | tr '\\0' x >long.pass\n"
    "leaf() { openssl x509 -in \"$1\"; }\n"
    "{ leaf san.pem; leaf intermediate.pem | sed '5,8d'; } >damaged.pem\n"
    "sed '5,8d' san.key >damaged.key\n"
    "for i in 1 2 3 4 5 6 7 8 9; do cat san.pem; done >bundle.pem\n"
    "cp san.key open.key; chmod 644 open.key\n"
    "{ leaf san.pem; cat root.pem intermediate.pem; } >swapped.pem\n"
    "cat san.pem root.pem backend-ca.pem >surplus.pem\n"
    "cat self-signed.pem root.pem >self-and-more.pem\n"
    "leaf below-old.pem >below-old-leaf.pem\n"
    "{ printf 'Bag Attributes\\n    friendlyName: Microsoft Exchange\\n'; cat self-signed.pem; } "
    ">friendly.pem\n"
    /* the last octet of what is signed stands before the signature; that of the file is in the responder's
       certificate */
    "cp san.ocsp forged.ocsp; printf '\\0' | dd of=forged.ocsp bs=1 seek=200 conv=notrunc 2>/dev/null\n"
    "openssl req -x509 -sha1 -newkey rsa:2048 -days 397 -nodes -keyout beside.key -subj /CN=beside.example.com -addext "
    "subjectAltName=DNS:other.example.com -out beside.pem 2>/dev/null\n"
    "printf 'basicConstraints=CA:TRUE\\nsubjectKeyIdentifier=none\\nauthorityKeyIdentifier=none\\n' >ca.ext\n"
    "for i in 1 2; do openssl req -new -newkey rsa:2048 -nodes -keyout same$i.key -subj /CN=Namesake -out same$i.csr "
    "2>/dev/null; openssl x509 -req -in same$i.csr -CA root.pem -CAkey root.key -set_serial 7$i -days 397 -extfile ca.ext -out "
    "same$i.pem 2>/dev/null; done\n"
    "printf 'subjectAltName=DNS:mail.example.com,DNS:localhost\\nextendedKeyUsage=serverAuth\\n' >leaf.ext\n"
    "{ cat leaf.ext; echo authorityKeyIdentifier=issuer:always; } >named.ext; echo authorityKeyIdentifier=none >>leaf.ext\n"
    "for by in same1 backend-ca; do openssl x509 -req -in san.csr -CA $by.pem -CAkey $by.key -set_serial 74 -days 397 -extfile "
    "named.ext -out by-$by.pem 2>/dev/null; done\n"
    "openssl x509 -req -in san.csr -CA same1.pem -CAkey same1.key -set_serial 73 -days 397 -extfile leaf.ext -out namesake.pem "
    "2>/dev/null; cat same2.pem >>namesake.pem; cp san.key namesake.key\n"
    "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-192 -days 397 -nodes -keyout p192.key -subj /CN=p192 -out "
    "p192.pem 2>/dev/null\n"
    "printf '\\060\\003\\012\\001\\003' >later.ocsp\n";

static int make_folder(void **state)
{
    const char *script = getenv("POSTERN_MAKE_CERTS"), *where = getenv("POSTERN_CERTS");
    char command[8192];

    if (script == NULL || where == NULL)
        return -1;
    snprintf(folder, sizeof(folder), "%s", where);
    snprintf(command, sizeof(command), "'%s' '%s'", script, folder);
    if (system(command) != 0 || chdir(folder) != 0 || system(more) != 0)
        return -1;
    setenv("SSL_CERT_FILE", "empty.pem", 1);
    setenv("SSL_CERT_DIR", folder, 1);
    return 0;
}

#define TRIALS (sizeof(trials) / sizeof(trials[0]))

int main(void)
{
    static const struct CMUnitTest others[] = {
        cmocka_unit_test(root_of_the_system),
        cmocka_unit_test(intermediate_of_the_system),
        cmocka_unit_test(without_bytes),
        cmocka_unit_test(names),
        cmocka_unit_test(facts),
        cmocka_unit_test(names_are_cut_whole),
    };
    struct CMUnitTest tests[TRIALS + sizeof(others) / sizeof(others[0])];

    for (size_t i = 0; i < TRIALS; i++)
        tests[i] =
            (struct CMUnitTest){trials[i].name, trial_holds, NULL, NULL, (void *)(uintptr_t)&trials[i]};
    memcpy(tests + TRIALS, others, sizeof(others));
    return cmocka_run_group_tests(tests, make_folder, NULL);
}
