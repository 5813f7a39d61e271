/*
 * match: which publication and service a request belongs to. Compiled from the snapshot once, read-only, shared by all
 * workers, attached to the snapshot.
 */
#ifndef POSTERN_MATCH_H
#define POSTERN_MATCH_H

#include <postern/conf.h>
#include <postern/message.h>

struct match_table;

struct match {
    const struct conf_publish *publish;
    const struct conf_service *service;
    unsigned route; /* index of (publish, service): 0..match_routes()-1 */
};

enum match_result {
    MATCH_FOUND,
    MATCH_NO_HOST,   /* 421 */
    MATCH_NO_PATH,   /* 404 */
    MATCH_NO_METHOD, /* 405: the path is published for other methods (match_allow) */
    MATCH_ROOT,      /* "/" of a publication that redirects to /owa/ */
};

struct match_table *match_table_new(const struct snapshot *s);
void match_table_free(void *t);
unsigned match_routes(const struct match_table *t);
struct match match_route(const struct match_table *t, unsigned route);
/* Host: exact before wildcard ("*.x": one label) before "*"; only the first of them that exists is looked at. Path: the
 * longest prefix on a segment boundary decides alone, for all services that have it; patterns, in order, where no prefix
 * matches. So a broader rule never answers for what a narrower one publishes. A path that ends in a file name ("a.dll")
 * has nothing below it. On MATCH_ROOT only ret->publish is set. An empty host is MATCH_NO_HOST. */
enum match_result match_find(const struct match_table *t, struct str host, struct str canonical_path,
                             enum method m, struct match *ret);
bool match_host_published(const struct match_table *t, struct str host);
/* "GET, HEAD, POST" of all services of that host that publish the path. */
struct str match_allow(const struct match_table *t, struct str host, struct str canonical_path,
                       struct arena *a);

#endif
