/*
 * The matrix as one page: no script, nothing from elsewhere, light or dark as the reader's system is, and in print each
 * explanation stands below its cell.
 */
#include <stdio.h>
#include "trial_int.h"

static const char style[] =
    ":root{color-scheme:light dark;--fg:#1b1f24;--bg:#fff;--line:#d0d7de;--head:#f3f5f7;--yes:#d9f2df;--no:#fbdcdc;"
    "--warn:#fdf1c9;--diff:#e3d5fb;--soft:#57606a}\n"
    "@media(prefers-color-scheme:dark){:root{--fg:#e6edf3;--bg:#0f1419;--line:#30363d;--head:#1a2129;--yes:#143d22;"
    "--no:#4a1a1c;--warn:#463a0d;--diff:#38245c;--soft:#9aa5b1}}\n"
    "body{font:15px/1.45 system-ui,sans-serif;color:var(--fg);background:var(--bg);margin:2rem auto;padding:0 1rem;"
    "max-width:90rem}h1{font-size:1.4rem;margin:0 0 .3rem}p{color:var(--soft);margin:.2rem 0 1rem}\n"
    "table{border-collapse:collapse;width:100%}th,td{border:1px solid var(--line);padding:.3rem .5rem;text-align:left;"
    "vertical-align:top}thead th{background:var(--head);position:sticky;top:0;z-index:2}"
    "tbody th{font-weight:600}tbody th small{display:block;font-weight:400;color:var(--soft)}\n"
    "td{position:relative;cursor:help;min-width:7.5rem}td.yes{background:var(--yes)}td.no{background:var(--no)}"
    "td.warn{background:var(--warn)}td.diff{background:var(--diff)}td:focus{outline:2px solid currentColor}\n"
    ".why{display:none;position:absolute;left:0;top:100%;z-index:3;width:24rem;max-width:80vw;padding:.6rem .8rem;"
    "background:var(--bg);border:1px solid var(--line);box-shadow:0 4px 14px #0004;font-size:.9rem}\n"
    "td:last-child .why{left:auto;right:0}td:hover .why,td:focus .why,td:focus-within .why{display:block}.why p{margin:"
    ".2rem 0;color:inherit}tr.group th{background:var(--head)}.key span{padding:.1rem .5rem;margin-right:.4rem;border:1px "
    "solid var(--line)}\n"
    "@media print{body{margin:0;max-width:none;font-size:9pt}.why{display:block;position:static;width:auto;border:0;"
    "box-shadow:none;padding:.1rem 0;background:none;font-size:7.5pt}thead th{position:static}tr{break-inside:avoid}"
    "*{-webkit-print-color-adjust:exact;print-color-adjust:exact}}\n";

static void text(FILE *to, const char *p)
{
    for (; *p != '\0'; p++) {
        if (*p == '<')
            fputs("&lt;", to);
        else if (*p == '&')
            fputs("&amp;", to);
        else if (*p == '"')
            fputs("&quot;", to);
        else
            fputc(*p, to);
    }
}

static void line(FILE *to, const char *before, const char *p)
{
    if (p[0] == '\0')
        return;
    fprintf(to, "<p>%s", before);
    text(to, p);
    fputs("</p>", to);
}

static void explain(const struct trial_cell *c, FILE *to)
{
    const struct trial_outcome *o = trial_cell_outcome(c);
    char suite[64];

    fputs("<div class=\"why\">", to);
    if (o->version != 0) {
        fprintf(to, "<p>%s, %s, %s certificate%s</p>", trial_version_name(o->version),
                trial_code_name(TRIAL_SUITES, o->suite, suite), o->key == KEY_EC ? "ECDSA" : "RSA",
                o->no_sni ? ", asked without a server name" : "");
    }
    line(to, "<b>Why not:</b> ", o->reason);
    if (c->has_predicted && o->stop != STOP_NOWHERE)
        line(to, "<b>What would help:</b> ", c->predicted.change);
    if (c->differs)
        line(to, "<b>Prediction and trial differ:</b> ", c->difference);
    for (unsigned i = 0; i < o->warnings_n; i++)
        line(to, "<b>Mind:</b> ", o->warnings[i]);
    line(to, "<b>Tried:</b> ", c->has_live ? o->note : "");
    fputs("</div>", to);
}

static void cell(const struct trial_cell *c, FILE *to)
{
    const struct trial_outcome *o = trial_cell_outcome(c);
    bool passes = trial_cell_passes(c);

    fprintf(to, "<td tabindex=\"0\" class=\"%s\">",
            c->differs          ? "diff"
            : !passes           ? "no"
            : o->warnings_n > 0 ? "warn"
                                : "yes");
    if (passes)
        fprintf(to, "%s%s", trial_version_name(o->version), o->warnings_n > 0 ? " &#9888;" : "");
    else
        fprintf(to, "no: %s", trial_stop_name(o->stop));
    explain(c, to);
    fputs("</td>", to);
}

static void row(const struct trial_matrix *m, unsigned i, FILE *to)
{
    const struct trial_device *d = m->devices->v[i];

    fputs("<tr><th scope=\"row\">", to);
    text(to, d->title.p);
    fputs("<small>", to);
    text(to, d->name.p);
    fputs(", ", to);
    text(to, d->years.p);
    fputs("</small></th>", to);
    for (unsigned k = 0; k < m->columns_n; k++)
        cell(trial_matrix_cell(m, i, k), to);
    fputs("</tr>\n", to);
}

static void kind(const struct trial_matrix *m, const char *name, const char *title, FILE *to)
{
    bool first = true;

    for (unsigned i = 0; i < m->devices->n; i++) {
        if (!str_eq(m->devices->v[i]->kind, str_of(name)))
            continue;
        if (first)
            fprintf(to, "<tr class=\"group\"><th colspan=\"%u\">%s</th></tr>\n", m->columns_n + 1, title);
        first = false;
        row(m, i, to);
    }
}

void trial_report_html(const struct trial_matrix *m, FILE *to)
{
    fputs("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
          "content=\"width=device-width\"><title>Which devices will connect</title>\n<style>\n",
          to);
    fputs(style, to);
    fputs(
        "</style></head><body><h1>Which devices will connect</h1>\n"
        "<p>Each cell says more when pointed at, clicked or printed.</p>\n"
        "<p class=\"key\"><span style=\"background:var(--yes)\">connects</span><span style=\"background:var(--warn)\">"
        "connects, something to mind</span><span style=\"background:var(--no)\">does not connect</span>"
        "<span style=\"background:var(--diff)\">prediction and trial differ</span></p>\n<table><thead><tr><th>Device</th>",
        to);
    for (unsigned k = 0; k < m->columns_n; k++) {
        fputs("<th scope=\"col\">", to);
        text(to, m->columns[k].label);
        fputs("</th>", to);
    }
    fputs("</tr></thead><tbody>\n", to);
    kind(m, "phone", "Phones and tablets", to);
    kind(m, "desktop", "Mail programs", to);
    kind(m, "browser", "Browsers", to);
    kind(m, "library", "Libraries", to);
    fputs("</tbody></table></body></html>\n", to);
}
