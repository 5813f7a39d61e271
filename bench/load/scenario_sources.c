#include <unistd.h>
#include "route.h"
#include "scenario_int.h"

/* As many addresses of a range are asked for, at even distances; the first and the last are among them. */
#define ASKED_MAX 4096

static union address asked(const struct sources *from, uint64_t i, uint64_t n)
{
    return sources_at(from, n < 2 ? 0 : (from->n - 1) * i / (n - 1));
}

/* False, and which, when one is not this machine's. */
static bool are_ours(int kernel, const struct sources *from, union address *ret_bad)
{
    uint64_t n = from->n < ASKED_MAX ? from->n : ASKED_MAX;
    for (uint64_t i = 0; i < n; i++) {
        *ret_bad = asked(from, i, n);
        if (!route_is_local(kernel, ret_bad))
            return false;
    }
    return true;
}

static void refuse_foreign(struct option_reader *r, const struct conf_node *at, const struct sources *from,
                           const union address *bad)
{
    char address[INET6_ADDRSTRLEN], route[SOURCES_TEXT];
    bool six = bad->any.sa_family == AF_INET6;
    address_text(bad, address);
    if (from->prefix)
        sources_route(from, route);
    else
        snprintf(route, sizeof route, "%s/%d", address, six ? 128 : 32);
    REFUSE(r, at,
           "`sources`: %s is not this machine's; if %s is nobody else's: ip%s route add local %s dev lo",
           address, from->prefix ? "the prefix" : "it", six ? " -6" : "", route);
}

static void check(struct option_reader *r, const struct scenario *s, const struct conf_node *at,
                  const struct sources *from)
{
    char target[INET6_ADDRSTRLEN], source[INET6_ADDRSTRLEN];
    const char *family = address_family(&from->first);
    const union address *any = scenario_target(s, AF_UNSPEC),
                        *to = scenario_target(s, from->first.any.sa_family);
    union address bad;
    int kernel = route_open();
    if (!are_ours(kernel, from, &bad))
        refuse_foreign(r, at, from, &bad);
    else if (any && !to)
        REFUSE(r, at, "`sources` are %s, but `target` (%s) has no %s address", family,
               address_text(any, target), family);
    else if (to && address_is_loopback(&from->first) && !route_is_local(kernel, to))
        REFUSE(r, at, "`sources`: from %s only this machine can be reached, and `target` (%s) is another",
               address_text(&from->first, source), address_text(to, target));
    if (kernel >= 0)
        close(kernel);
}

void scenario_sources(struct option_reader *r, const struct scenario *s, const struct conf_node *map,
                      const char *text, struct sources *ret)
{
    char why[SOURCES_WHY];
    const struct conf_node *at = conf_node_find(map, STR("sources"));
    if (sources_parse(text, ret, why))
        check(r, s, at ? at : map, ret);
    else
        REFUSE(r, at ? at : map, "`sources` is `%s`: %s", text, why);
}
