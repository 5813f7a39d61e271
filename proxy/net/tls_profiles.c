/*
 * The TLS profiles by name: one row says all of a profile.
 *
 * Which clients each row wins or loses is known from their recorded handshakes: `intermediate` loses iOS 5 to 8, OS X to 10.9 and
 * Windows Phone 8.1 as shipped, which speak TLS 1.2 without GCM (`compat12` brings them back), and all that end at TLS 1.0:
 * Android to 4.3, Windows Vista and 7 as shipped, OS X to 10.8 (`legacy10`). RC4 and 3DES, so Windows XP's own TLS, are in
 * none of them.
 */
#include <assert.h>
#include <openssl/tls1.h>
#include "tls_int.h"

#define AEAD_12                                                                                              \
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"               \
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:"                 \
    "DHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES256-GCM-SHA384"
#define CBC_12                                                                                               \
    "ECDHE-ECDSA-AES256-SHA384:ECDHE-RSA-AES256-SHA384:ECDHE-ECDSA-AES128-SHA256:ECDHE-RSA-AES128-SHA256:"   \
    "ECDHE-ECDSA-AES256-SHA:ECDHE-RSA-AES256-SHA:ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES128-SHA"
/* No DHE with CBC: Java 6 and 7 take it before anything else and then fail on groups over 1024 bits. */
#define RSA_KEY_EXCHANGE                                                                                     \
    "AES128-GCM-SHA256:AES256-GCM-SHA384:AES128-SHA256:AES256-SHA256:AES128-SHA:AES256-SHA"

#define SUITES_13 "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
#define GROUPS "X25519:P-256:P-384"
#define SIGALGS                                                                                              \
    "ECDSA+SHA256:ECDSA+SHA384:ECDSA+SHA512:ed25519:RSA-PSS+SHA256:RSA-PSS+SHA384:RSA-PSS+SHA512:"           \
    "RSA+SHA256:RSA+SHA384:RSA+SHA512"

static const struct tls_profile profiles[] = {
    {CONF_TLS_MODERN, "modern", TLS1_3_VERSION, TLS1_3_VERSION, AEAD_12, SUITES_13, GROUPS, SIGALGS, 2, false,
     "TLS 1.3 only"},
    {CONF_TLS_INTERMEDIATE, "intermediate", TLS1_2_VERSION, TLS1_3_VERSION, AEAD_12, SUITES_13, GROUPS,
     SIGALGS, 2, false, "TLS 1.2 and 1.3, forward secret and AEAD only"},
    {CONF_TLS_COMPAT12, "compat12", TLS1_2_VERSION, TLS1_3_VERSION, AEAD_12 ":" CBC_12, SUITES_13, GROUPS,
     SIGALGS ":ECDSA+SHA1:RSA+SHA1", 1, true, "intermediate, and forward secret CBC suites at TLS 1.2"},
    {CONF_TLS_LEGACY10, "legacy10", TLS1_VERSION, TLS1_3_VERSION, AEAD_12 ":" CBC_12 ":" RSA_KEY_EXCHANGE,
     SUITES_13, GROUPS, SIGALGS ":ECDSA+SHA1:RSA+SHA1", 0, true,
     "compat12, TLS 1.0 and 1.1, and RSA key exchange"},
};
static_assert(sizeof(profiles) / sizeof(profiles[0]) == CONF_TLS_COUNT, "a row per profile");

const struct tls_profile *tls_profile_row(enum conf_tls id)
{
    for (unsigned i = 0; i < CONF_TLS_COUNT; i++) {
        if (profiles[i].id == id)
            return &profiles[i];
    }
    return &profiles[CONF_TLS_INTERMEDIATE];
}
