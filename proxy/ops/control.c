/*
 * The control socket: one line in, one answer out. "text" asks for words rather than JSON, behind a line "ok"
 * or "failed".
 */
#include <stdlib.h>

#include "admin_int.h"

static void finding_json(void *ctx, enum conf_severity s, struct conf_mark where, const char *text)
{
    FILE *to = ctx;

    fprintf(to, "%s{\"severity\":\"%s\",\"file\":", ftell(to) > 0 ? "," : "",
            s == CONF_ERROR ? "error" : "warning");
    json_string(str_of(where.file != NULL ? where.file : ""), to);
    fprintf(to, ",\"line\":%u,\"column\":%u,\"text\":", where.line, where.column);
    json_string(str_of(text), to);
    fputc('}', to);
}

/* The first item needs no comma: the list is made in a stream of its own, whose position tells. */
static void findings_json(struct conf_findings *f, FILE *to)
{
    char *text = NULL;
    size_t n = 0;
    FILE *list = open_memstream(&text, &n);

    if (list == NULL)
        return;
    conf_findings_each(f, finding_json, list);
    if (fclose(list) == 0)
        fwrite(text, 1, n, to);
    free(text);
}

/* How an answer is wanted: words rather than JSON, for a terminal with colours, about whom. */
struct asked {
    bool words, colour;
    struct str about; /* n == 0: all */
};

static void control_reload(struct admin *a, const struct asked *how, FILE *to)
{
    struct conf_findings *f = conf_findings_new();
    int result = f != NULL ? a->calls.reload(a->calls.ctx, f) : -1;

    if (how->words) {
        fputs(result == 0 ? "ok\n" : "failed\n", to);
        if (f != NULL)
            conf_findings_print(f, to);
    } else {
        fprintf(to, "{\"ok\":%s,\"findings\":[", result == 0 ? "true" : "false");
        if (f != NULL)
            findings_json(f, to);
        fputs("]}\n", to);
    }
    conf_findings_free(f);
}

static void control_status(struct admin *a, const struct asked *how, FILE *to)
{
    struct status_now now = admin_now(a);

    if (!how->words) {
        status_json(&now, to);
        return;
    }
    fputs("ok\n", to);
    status_table(&now, how->colour, to);
}

static void control_devices(struct admin *a, const struct asked *how, FILE *to)
{
    if (how->words)
        fputs("ok\n", to);
    (how->words ? status_devices_table : status_devices_json)(how->about, to);
}

static void control_channels(struct admin *a, const struct asked *how, FILE *to)
{
    if (how->words)
        fputs("ok\n", to);
    (how->words ? status_channels_table : status_channels_json)(a->engine, to);
}

static void control_accounts(struct admin *a, const struct asked *how, FILE *to)
{
    if (how->words)
        fputs("ok\n", to);
    status_accounts(a->engine, how->about, !how->words, to);
}

static void control_unlock(struct admin *a, const struct asked *how, FILE *to)
{
    struct snapshot *s = engine_snapshot(a->engine);
    unsigned n = guard_unlock(engine_guard(a->engine), s, how->about);

    snapshot_release(s);
    if (how->words)
        fprintf(to, "%s\n%s\n", n > 0 ? "ok" : "failed", n > 0 ? "unlocked" : "nothing was held against it");
    else
        fprintf(to, "{\"ok\":%s}\n", n > 0 ? "true" : "false");
}

static void control_flush(struct admin *a, const struct asked *how, FILE *to)
{
    unsigned n = guard_flush(engine_guard(a->engine));

    if (how->words)
        fprintf(to, "ok\ncredentials of %u accounts are forgotten\n", n);
    else
        fprintf(to, "{\"ok\":true,\"accounts\":%u}\n", n);
}

static void control_stop(struct admin *a, const struct asked *how, FILE *to)
{
    fputs("{\"ok\":true}\n", to);
    a->calls.stop(a->calls.ctx);
}

static const struct {
    struct str words;
    void (*answer)(struct admin *a, const struct asked *how, FILE *to);
} commands[] = {
    {STR("status"), control_status},
    {STR("status devices"), control_devices},
    {STR("status channels"), control_channels},
    {STR("status accounts"), control_accounts},
    {STR("unlock"), control_unlock},
    {STR("auth flush"), control_flush},
    {STR("reload"), control_reload},
    {STR("stop"), control_stop},
};
#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

/* Takes `word` off the end of the line. */
static bool take_last(struct str *line, struct str word)
{
    if (!str_ends_nocase(*line, word))
        return false;
    *line = str_trim((struct str){line->p, line->n - word.n});
    return true;
}

/* "COMMAND [text [colour]] [-- ABOUT]" */
void admin_answer_control(struct admin *a, struct str question, FILE *to)
{
    struct str line = str_trim(question);
    const char *dashes = memmem(line.p, line.n, " -- ", 4);
    struct asked how = {.about = STR("")};

    if (dashes != NULL) {
        how.about = str_trim((struct str){dashes + 4, line.n - (size_t)(dashes + 4 - line.p)});
        line.n = (size_t)(dashes - line.p);
    }
    how.colour = take_last(&line, STR(" colour"));
    how.words = take_last(&line, STR(" text"));
    for (size_t i = 0; i < COMMANDS; i++) {
        if (str_eq(line, commands[i].words)) {
            commands[i].answer(a, &how, to);
            return;
        }
    }
    fputs("{\"ok\":false,\"error\":\"unknown command; there are: ", to);
    for (size_t i = 0; i < COMMANDS; i++)
        fprintf(to, "%s%s", i > 0 ? ", " : "", commands[i].words.p);
    fputs("\"}\n", to);
}
