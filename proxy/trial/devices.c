/*
 * A folder of profiles.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "trial_int.h"

const char *trial_folder(const char *given, const char *what, char *buffer, size_t size)
{
    const char *const roots[] = {TRIAL_DATA_INSTALLED, TRIAL_DATA_BUILT};

    if (given != NULL)
        return given;
    for (size_t i = 0; i < sizeof(roots) / sizeof(roots[0]); i++) {
        snprintf(buffer, size, "%s/%s", roots[i], what);
        if (access(buffer, R_OK) == 0)
            return buffer;
    }
    snprintf(buffer, size, "%s/%s", roots[0], what);
    return buffer;
}

static int is_profile(const struct dirent *e)
{
    return e->d_name[0] != '.' && str_ends_nocase(str_of(e->d_name), STR(".yaml"));
}

static void load_one(struct trial_devices *all, const char *folder, const char *name, struct conf_findings *f)
{
    char path[1024];
    const char *why;
    struct str bytes, kept;
    struct trial_device *d;

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    kept = conf_copy(all->memory, str_of(path));
    if (kept.p == NULL)
        return;
    if (conf_slurp(all->memory, path, &bytes, &why) != 0) {
        conf_finding_add(f, CONF_ERROR, (struct conf_mark){kept.p, 0, 0}, "%s", why);
        return;
    }
    d = trial_device_read(all->memory, kept.p, bytes, f);
    if (d == NULL)
        return;
    if (trial_devices_find(all, d->name) != NULL)
        conf_finding_add(f, CONF_ERROR, d->mark, "another profile is named `%.*s` too", STR_ARG(d->name));
    else if (all->n == TRIAL_DEVICES_MAX)
        conf_finding_add(f, CONF_ERROR, d->mark, "more than %d profiles", TRIAL_DEVICES_MAX);
    else
        all->v[all->n++] = d;
}

int trial_devices_load(struct trial_devices *ret, const char *folder, struct conf_findings *f)
{
    struct dirent **entries;
    int n = scandir(folder, &entries, is_profile, alphasort);

    if (n < 0)
        return -1;
    if (ret->memory == NULL)
        ret->memory = conf_memory_new();
    for (int i = 0; i < n; i++) {
        if (ret->memory != NULL)
            load_one(ret, folder, entries[i]->d_name, f);
        free(entries[i]);
    }
    free(entries);
    return ret->memory != NULL ? 0 : -1;
}

void trial_devices_free(struct trial_devices *d)
{
    if (d->memory != NULL)
        conf_memory_free(d->memory);
    *d = (struct trial_devices){.memory = NULL};
}

const struct trial_device *trial_devices_find(const struct trial_devices *d, struct str name)
{
    for (unsigned i = 0; i < d->n; i++) {
        if (str_eq(d->v[i]->name, name))
            return d->v[i];
    }
    return NULL;
}
