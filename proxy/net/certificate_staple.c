/*
 * The OCSP response that is stapled (RFC 6960; RFC 8446 4.4.2.1). A client that gets a response it cannot use
 * refuses the connection, where without one it would have gone on: a bad staple is worse than none.
 */
#include <time.h>
#include <openssl/ocsp.h>
#include <postern/log.h>
#include "certificates_int.h"
#include "tls_int.h"

/* Clocks differ. */
#define SKEW_SECONDS 300
#define FEATURE_STATUS_REQUEST 5 /* RFC 7633, RFC 6066 8 */

#define FETCH                                                                                                \
    "fetch a new one: openssl ocsp -issuer ISSUER.pem -cert CERT.pem -url URL -no_nonce -respout FILE"

struct staple {
    OCSP_BASICRESP *basic;
    OCSP_SINGLERESP *single; /* for the leaf, in `basic` */
};

static OCSP_BASICRESP *read_basic(struct certificates *all, const struct certificate *c)
{
    const unsigned char *p = (const unsigned char *)c->conf->ocsp.bytes.p;
    OCSP_RESPONSE *r = d2i_OCSP_RESPONSE(NULL, &p, (long)c->conf->ocsp.bytes.n);
    OCSP_BASICRESP *basic = NULL;
    int status = r != NULL ? OCSP_response_status(r) : -1;

    if (r == NULL)
        CERTIFICATE_ERROR(all, c, ocsp, "%s is no OCSP response in DER; " FETCH, c->conf->ocsp.path.p);
    else if (status != OCSP_RESPONSE_STATUS_SUCCESSFUL)
        CERTIFICATE_ERROR(all, c, ocsp,
                          "the OCSP response %s reports a failure of the responder (%s); " FETCH,
                          c->conf->ocsp.path.p, OCSP_response_status_str(status));
    else if ((basic = OCSP_response_get1_basic(r)) == NULL)
        CERTIFICATE_ERROR(all, c, ocsp, "the OCSP response %s is of an unknown kind; " FETCH,
                          c->conf->ocsp.path.p);
    OCSP_RESPONSE_free(r);
    return basic;
}

/* By serial number alone where the issuer is not known. */
static bool is_for(OCSP_SINGLERESP *single, X509 *leaf, X509 *issuer)
{
    ASN1_OBJECT *digest;
    ASN1_INTEGER *serial;
    OCSP_CERTID *theirs = (OCSP_CERTID *)(uintptr_t)OCSP_SINGLERESP_get0_id(single), *ours;
    const EVP_MD *md;
    bool same;

    OCSP_id_get0_info(NULL, &digest, NULL, &serial, theirs);
    if (issuer == NULL)
        return ASN1_INTEGER_cmp(serial, X509_get0_serialNumber(leaf)) == 0;
    md = EVP_get_digestbyobj(digest);
    ours = md != NULL ? OCSP_cert_to_id(md, leaf, issuer) : NULL;
    same = ours != NULL && OCSP_id_cmp(ours, theirs) == 0;
    OCSP_CERTID_free(ours);
    return same;
}

static OCSP_SINGLERESP *find_single(OCSP_BASICRESP *basic, const struct certificate *c)
{
    for (int i = 0; i < OCSP_resp_count(basic); i++) {
        OCSP_SINGLERESP *single = OCSP_resp_get0(basic, i);
        if (is_for(single, sk_X509_value(c->chain, 0), c->issuer))
            return single;
    }
    return NULL;
}

/* By the issuer, or by one whom the issuer made a responder (RFC 6960 4.2.2.2). */
static bool is_signed(OCSP_BASICRESP *basic, const struct certificate *c, bool old)
{
    X509_STORE *store = X509_STORE_new();
    unsigned long flags = X509_V_FLAG_PARTIAL_CHAIN;
    bool good = false;

    /* An old response is told as old; its responder, whose certificate may live for days only, may be old with it. */
    if (old)
        flags |= X509_V_FLAG_NO_CHECK_TIME;
    if (store != NULL && X509_STORE_add_cert(store, c->issuer) == 1 &&
        X509_STORE_set_flags(store, flags) == 1)
        good = OCSP_basic_verify(basic, c->chain, store, 0) == 1;
    X509_STORE_free(store);
    return good;
}

static void check_status(struct certificates *all, const struct certificate *c, int status)
{
    if (status == V_OCSP_CERTSTATUS_REVOKED)
        CERTIFICATE_ERROR(
            all, c, ocsp,
            "the OCSP response %s says that the certificate is revoked, and clients refuse it; order a new "
            "certificate with a new key",
            c->conf->ocsp.path.p);
    else if (status != V_OCSP_CERTSTATUS_GOOD)
        CERTIFICATE_ERROR(
            all, c, ocsp,
            "the OCSP response %s says that the authority does not know the certificate; ask the right "
            "responder: openssl x509 -noout -ocsp_uri -in CERT.pem shows its URL",
            c->conf->ocsp.path.p);
}

/* Without an end a response is never old. */
static bool is_old(ASN1_GENERALIZEDTIME *until)
{
    return until != NULL && certificate_seconds(until) <= (int64_t)time(NULL);
}

static void check_dates(struct certificates *all, const struct certificate *c, ASN1_GENERALIZEDTIME *from,
                        ASN1_GENERALIZEDTIME *until)
{
    char date[16];

    if (certificate_seconds(from) - SKEW_SECONDS > (int64_t)time(NULL))
        CERTIFICATE_ERROR(
            all, c, ocsp,
            "the OCSP response %s is not valid before %s; check this machine's clock, or " FETCH,
            c->conf->ocsp.path.p, certificate_date(from, date));
    else if (is_old(until))
        CERTIFICATE_WARNING(
            all, c, ocsp,
            "the OCSP response %s is old, it was valid until %s, and is not handed out any more; " FETCH,
            c->conf->ocsp.path.p, certificate_date(until, date));
}

static void check_single(struct certificates *all, struct certificate *c, const struct staple *s)
{
    ASN1_GENERALIZEDTIME *from = NULL, *until = NULL;
    int status = OCSP_single_get0_status(s->single, NULL, NULL, &from, &until);

    if (until != NULL)
        c->staple_until = certificate_seconds(until) != 0 ? certificate_seconds(until) : 1;
    if (c->issuer != NULL && !is_signed(s->basic, c, is_old(until))) {
        CERTIFICATE_ERROR(
            all, c, ocsp,
            "the OCSP response %s is not signed by the certificate's authority or a responder that it "
            "vouches for, and clients refuse it; " FETCH,
            c->conf->ocsp.path.p);
        return;
    }
    check_status(all, c, status);
    check_dates(all, c, from, until);
}

/* RFC 7633: without a staple clients that know the feature refuse the certificate. */
static bool must_staple(X509 *leaf)
{
    TLS_FEATURE *list = X509_get_ext_d2i(leaf, NID_tlsfeature, NULL, NULL);
    bool must = false;

    for (int i = 0; i < sk_ASN1_INTEGER_num(list); i++)
        must |= ASN1_INTEGER_get(sk_ASN1_INTEGER_value(list, i)) == FEATURE_STATUS_REQUEST;
    TLS_FEATURE_free(list);
    return must;
}

void certificate_check_staple(struct certificates *all, struct certificate *c)
{
    struct staple s;

    if (c->conf->ocsp.path.p == NULL) {
        if (must_staple(sk_X509_value(c->chain, 0)))
            CERTIFICATE_WARNING(
                all, c, chain,
                "the certificate in %s demands a stapled OCSP response, which some clients insist on; "
                "name one with `ocsp`, or order a certificate without that demand",
                c->conf->chain.path.p);
        tls_errors_drop();
        return;
    }
    s.basic = read_basic(all, c);
    s.single = s.basic != NULL ? find_single(s.basic, c) : NULL;
    if (s.single != NULL)
        check_single(all, c, &s);
    else if (s.basic != NULL)
        CERTIFICATE_ERROR(all, c, ocsp, "the OCSP response %s is not for this certificate; " FETCH,
                          c->conf->ocsp.path.p);
    OCSP_BASICRESP_free(s.basic);
    tls_errors_drop();
}

/* ---- in use ---- */

bool certificate_staple_good(const struct conf_certificate *c)
{
    struct certificate_staple *s = c->staple;

    if (s == NULL || (int64_t)time(NULL) < s->until)
        return true;
    if (!__atomic_exchange_n(&s->told, true, __ATOMIC_RELAXED))
        log_event(LOG_EV_STAPLE_OLD, LF_STR("certificate", c->name), LF_STR("file", c->ocsp.path));
    return false;
}
