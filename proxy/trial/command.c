/*
 * `postern trial`: reads what is asked, runs the matrix, writes the reports.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "command_int.h"

static void setup_free(struct trial_setup *s)
{
    for (unsigned i = 0; i < s->certificates_n; i++)
        trial_certificate_free(&s->certificates[i]);
    if (s->snapshot != NULL)
        snapshot_release(s->snapshot);
    trial_devices_free(&s->all);
    if (s->memory != NULL)
        conf_memory_free(s->memory);
    conf_findings_free(s->findings);
    explicit_bzero(s->password, sizeof(s->password));
    free(s->matrix.cells);
    free(s);
}

static int unknown_device(const struct trial_setup *s, const char *name)
{
    const struct trial_device *best = s->all.v[0];

    for (unsigned i = 1; i < s->all.n; i++) {
        if (str_distance(s->all.v[i]->name, str_of(name)) < str_distance(best->name, str_of(name)))
            best = s->all.v[i];
    }
    fprintf(stderr, "postern trial: no device `%s`; did you mean `%.*s`? `postern trial devices` lists all\n",
            name, STR_ARG(best->name));
    return -1;
}

/* Each of `list` is names with commas between; `each` gets them one by one. */
static int names_each(struct trial_setup *s, const struct trial_words *list,
                      int (*each)(struct trial_setup *, const struct trial_device *))
{
    for (unsigned i = 0; i < list->n; i++) {
        struct str rest = str_of(list->v[i]), name;

        while (str_next(&rest, ',', &name)) {
            char text[128];
            const struct trial_device *d = trial_devices_find(&s->all, name);

            snprintf(text, sizeof(text), "%.*s", STR_ARG(name));
            if (d == NULL && strcmp(text, "all") != 0)
                return unknown_device(s, text);
            for (unsigned k = 0; k < s->all.n; k++) {
                if ((d == NULL || s->all.v[k] == d) && each(s, s->all.v[k]) < 0)
                    return -1;
            }
        }
    }
    return 0;
}

static int choose_one(struct trial_setup *s, const struct trial_device *d)
{
    if (trial_devices_find(&s->chosen, d->name) == NULL)
        s->chosen.v[s->chosen.n++] = (struct trial_device *)d;
    return 0;
}

static int load_devices(struct trial_setup *s)
{
    const char *folder = trial_folder(s->o.devices, "devices", s->devices_folder, sizeof(s->devices_folder));

    if (trial_devices_load(&s->all, folder, s->findings) < 0) {
        fprintf(stderr, "postern trial: the folder of profiles cannot be read: %s\n", folder);
        return -1;
    }
    if (s->all.n == 0) {
        fprintf(stderr, "postern trial: no usable profile in %s\n", folder);
        return -1;
    }
    if (s->o.only.n > 0)
        return names_each(s, &s->o.only, choose_one);
    s->chosen = s->all;
    s->chosen.memory = NULL;
    return 0;
}

static int require_one(struct trial_setup *s, const struct trial_device *d)
{
    for (unsigned i = 0; i < s->chosen.n; i++) {
        for (unsigned k = 0; s->chosen.v[i] == d && k < s->base_n; k++) {
            if (!trial_cell_passes(trial_matrix_cell(&s->matrix, i, k))) {
                fprintf(stderr, "postern trial: %.*s is required and does not connect to %s\n",
                        STR_ARG(d->name), s->matrix.columns[k].label);
                return -1;
            }
        }
    }
    return 0;
}

static int known_one(struct trial_setup *s, const struct trial_device *d)
{
    return 0;
}

static bool any_differs(const struct trial_setup *s)
{
    for (unsigned i = 0; i < s->chosen.n * s->matrix.columns_n; i++) {
        if (s->matrix.cells[i].differs)
            return true;
    }
    return false;
}

static int write_file(const char *path, const struct trial_matrix *m,
                      void (*report)(const struct trial_matrix *, FILE *))
{
    FILE *to = fopen(path, "we");
    int failed;

    if (to == NULL) {
        fprintf(stderr, "postern trial: %s: %m\n", path);
        return -1;
    }
    report(m, to);
    failed = ferror(to);
    return fclose(to) != 0 || failed ? -1 : 0;
}

static int report(struct trial_setup *s)
{
    if (s->o.html != NULL && write_file(s->o.html, &s->matrix, trial_report_html) < 0)
        return -1;
    if (s->o.junit != NULL && write_file(s->o.junit, &s->matrix, trial_report_junit) < 0)
        return -1;
    if (s->o.json)
        trial_report_json(&s->matrix, stdout);
    else
        trial_report_table(&s->matrix, s->o.explain, stdout);
    return 0;
}

static int run(struct trial_setup *s)
{
    int result = 2;

    if (load_devices(s) < 0 || names_each(s, &s->o.require, known_one) < 0 || trial_columns_make(s) < 0 ||
        conf_findings_count(s->findings, CONF_ERROR) > 0) {
        conf_findings_print(s->findings, stderr);
        return 2;
    }
    if (s->o.advice) {
        trial_setup_advise(s, stdout);
        return 0;
    }
    s->matrix.devices = &s->chosen;
    s->matrix.choices = &s->choices;
    if (trial_matrix_run(&s->matrix, isatty(STDERR_FILENO) == 1) == 0 && report(s) == 0)
        result = names_each(s, &s->o.require, require_one) < 0 || any_differs(s) ? 1 : 0;
    return result;
}

static int devices_command(struct trial_setup *s)
{
    const char *folder = trial_folder(s->o.devices, "devices", s->devices_folder, sizeof(s->devices_folder));

    if (trial_devices_load(&s->all, folder, s->findings) < 0) {
        fprintf(stderr, "postern trial: the folder of profiles cannot be read: %s\n", folder);
        return 2;
    }
    for (unsigned i = 0; i < s->all.n; i++) {
        const struct trial_device *d = s->all.v[i];

        printf("%-28.*s %-11.*s %s to %s%s  %.*s\n", STR_ARG(d->name), STR_ARG(d->years),
               trial_version_name(d->tls.min), trial_version_name(d->tls.max), d->tls.sni ? "" : ", no SNI",
               STR_ARG(d->title));
    }
    conf_findings_print(s->findings, stdout);
    return conf_findings_count(s->findings, CONF_ERROR) > 0 ? 1 : 0;
}

static struct trial_setup *setup_new(void)
{
    struct trial_setup *s = calloc(1, sizeof(*s));

    if (s == NULL)
        return NULL;
    s->findings = conf_findings_new();
    s->memory = conf_memory_new();
    if (s->findings != NULL && s->memory != NULL)
        return s;
    setup_free(s);
    return NULL;
}

static void find_policies(struct trial_setup *s)
{
    const char *folder =
        trial_folder(s->o.policies, "policies", s->policies_folder, sizeof(s->policies_folder));

    if (folder != s->policies_folder)
        snprintf(s->policies_folder, sizeof(s->policies_folder), "%s", folder);
}

int trial_command(int argc, char **argv)
{
    bool devices = argc > 1 && strcmp(argv[1], "devices") == 0;
    struct trial_setup *s;
    int result = 2;

    if (argc > 1 && strcmp(argv[1], "record") == 0)
        return trial_record_command(argc - 1, argv + 1);
    s = setup_new();
    if (s == NULL)
        return 2;
    if (trial_options_read(argc - devices, argv + devices, &s->o)) {
        find_policies(s);
        result = devices ? devices_command(s) : run(s);
    }
    setup_free(s);
    return result;
}

int trial_advise(const char *config, FILE *to)
{
    struct trial_setup *s = setup_new();
    int result = -1;

    if (s == NULL)
        return -1;
    s->o.config = config;
    find_policies(s);
    if (load_devices(s) == 0 && trial_columns_make(s) == 0) {
        trial_setup_advise(s, to);
        result = 0;
    }
    if (result < 0)
        conf_findings_print(s->findings, stderr);
    setup_free(s);
    return result;
}
