/*
 * What the files of the auth room share: one configured directory.
 */
#ifndef POSTERN_AUTH_INT_H
#define POSTERN_AUTH_INT_H

#include <postern/verifier.h>

struct verifier {
    const struct verifier_type *type;
    const struct conf_directory *directory;
    void *state; /* of the type; NULL: could not be opened */
    /* Optional: a job that was submitted for this verifier is over in every respect, `done` included, or was refused. Exactly
     * once for each auth_submit; the submitter's worker. */
    void (*gone)(void *state);
};

/* The types with files of their own. */
extern const struct verifier_type verifier_ldap, verifier_radius, verifier_chain;

#endif
