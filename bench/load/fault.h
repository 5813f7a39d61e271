/* fault: what can be wrong with an operation. One row, many uses: counters, tables, JSON and the report. */
#ifndef LOAD_FAULT_H
#define LOAD_FAULT_H

#define FAULTS(ROW)                                                                                          \
    ROW(connect, "no connection")                                                                            \
    ROW(source, "a source address that is not this machine's")                                               \
    ROW(tls, "TLS handshake failed")                                                                         \
    ROW(not_resumed, "TLS session was not resumed")                                                          \
    ROW(reset, "connection reset")                                                                           \
    ROW(closed, "closed before the answer was complete")                                                     \
    ROW(unclean, "TLS closed without close_notify")                                                          \
    ROW(timeout, "no answer in time")                                                                        \
    ROW(head, "not an HTTP answer")                                                                          \
    ROW(status, "another status than expected")                                                              \
    ROW(length, "another length than expected")                                                              \
    ROW(content, "other content than expected")                                                              \
    ROW(order, "out of order, or the answer to another request")                                             \
    ROW(memory, "the load generator has no memory or sockets left")

enum fault {
    FAULT_NONE,
#define ROW(name, text) FAULT_##name,
    FAULTS(ROW)
#undef ROW
        FAULT_COUNT
};

/* "status", and "another status than expected" */
const char *fault_name(enum fault f);
const char *fault_text(enum fault f);

#endif
