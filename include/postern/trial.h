/*
 * trial: which of the organisation's devices will connect? Predicted from the configuration or from a certificate and a TLS
 * profile, and tried with each device's own ClientHello against any server. docs/trials.md says how to use it.
 *
 * Command line only: one thread, the default library context of OpenSSL, blocking sockets with deadlines.
 */
#ifndef POSTERN_TRIAL_H
#define POSTERN_TRIAL_H

#include <postern/conf.h>

/* `postern trial ...`. 0: all required devices pass; 1: some do not, or a prediction was wrong; 2: wrong usage. */
int trial_command(int argc, char **argv);
/* `postern cert request ...`: a key and a signing request with the names of the configuration. */
int trial_certificate_command(int argc, char **argv);
/* `postern check --advice`: what each choice of certificates wins and loses in devices, a listener at a time. -1: the
 * profiles cannot be read, or a certificate, which was told on stderr. */
int trial_advise(const char *config, FILE *to);

#endif
