/* postern-load: a load generator for published Exchange services. */
#include <stdlib.h>
#include <string.h>
#include "command.h"
#include "progress.h"
#include "report.h"

static bool write_to(const char *path, const struct run *r, void (*report)(const struct run *, FILE *))
{
    bool standard = path && strcmp(path, "-") == 0;
    if (!path)
        return true;
    FILE *to = standard ? stdout : fopen(path, "we");
    if (to)
        report(r, to);
    bool good = to && fflush(to) == 0 && !ferror(to);
    if (to && !standard && fclose(to) != 0)
        good = false;
    if (!good)
        perror(path);
    return good;
}

/* An hour's run is not lost to a folder that is not there. */
static bool can_write(const char *path)
{
    if (!path || strcmp(path, "-") == 0)
        return true;
    FILE *to = fopen(path, "ae");
    if (!to)
        perror(path);
    return to && fclose(to) == 0;
}

static uint64_t all_errors(const struct run *r)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < r->scenario->op_n; i++)
        n += stats_errors(&r->total.ops[i]);
    return n;
}

static int carry_out(struct run *r, const struct command *c)
{
    if (!c->quiet)
        r->on_row = progress_row;
    if (!can_write(c->json) || !can_write(c->html) || !run_scenario(r))
        return 2;
    progress_end();
    report_table(r, c->json && strcmp(c->json, "-") == 0 ? stderr : stdout);
    bool json = write_to(c->json, r, report_json), html = write_to(c->html, r, report_html);
    return !json || !html ? 2 : all_errors(r) ? 1 : 0;
}

int main(int argc, char **argv)
{
    struct command c;
    struct run r = {0};
    if (!command_parse(argc, argv, &c))
        return 2;
    if (c.help || c.options || c.manual) {
        c.help ? command_help(stdout) : c.manual ? command_manual(stdout) : scenario_print_options(stdout);
        return 0;
    }
    struct scenario *s = scenario_load(c.scenario, &c.overrides);
    if (!s)
        return 2;
    r.scenario = s;
    memcpy(r.groups, c.groups, sizeof c.groups);
    r.group_n = c.group_n;
    int status = c.check ? 0 : carry_out(&r, &c);
    if (!c.check)
        run_free(&r);
    scenario_free(s);
    return status;
}
