/* One load from bytes to a checked snapshot, and its life afterwards. */
#include "conf_int.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

static atomic_uint_fast64_t generations;

static void destroy(struct snapshot *s)
{
    while (s->attached_n) {
        s->attached_n--;
        s->attached[s->attached_n].destroy(s->attached[s->attached_n].object);
    }
    conf_memory_free(s->memory); /* holds the snapshot itself */
}

struct snapshot *snapshot_hold(struct snapshot *s)
{
    __atomic_add_fetch(&s->refs, 1, __ATOMIC_RELAXED);
    return s;
}

void snapshot_release(struct snapshot *s)
{
    if (s && __atomic_sub_fetch(&s->refs, 1, __ATOMIC_ACQ_REL) == 0)
        destroy(s);
}

int snapshot_attach(struct snapshot *s, void *object, void (*destroy_object)(void *))
{
    if (s->attached_n == sizeof s->attached / sizeof *s->attached)
        return -1;
    s->attached[s->attached_n].object = object;
    s->attached[s->attached_n].destroy = destroy_object;
    s->attached_n++;
    return 0;
}

static struct snapshot *snapshot_new(const char *file)
{
    struct timespec now;
    struct conf_memory *m = conf_memory_new();
    struct snapshot *s = m ? conf_alloc(m, sizeof *s) : NULL;
    if (s) {
        s->memory = m;
        s->path = conf_copy(m, str_of(file));
    }
    if (!s || !s->path.p) {
        conf_memory_free(m);
        return NULL;
    }
    clock_gettime(CLOCK_REALTIME, &now);
    s->loaded_at_ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
    s->refs = 1;
    return s;
}

static struct str folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return (struct str){path, slash ? (size_t)(slash - path) + 1 : 0};
}

static void fill(struct snapshot *s, struct conf_memory *scratch, struct str bytes, bool read_files,
                 struct conf_findings *f)
{
    struct conf_apply a = {.s = s,
                           .memory = s->memory,
                           .findings = f,
                           .file = s->path.p,
                           .folder = folder_of(s->path.p),
                           .read_files = read_files};
    const struct conf_node *root = conf_tree_read(scratch, s->path.p, bytes, f);
    if (!root)
        return;
    conf_apply_root(&a, root);
    conf_check(&a, root);
    if (a.no_memory)
        conf_finding_add(f, CONF_ERROR, (struct conf_mark){s->path.p, 0, 0}, "out of memory");
}

struct snapshot *conf_load_bytes(const char *file, struct str bytes, bool read_files, struct conf_findings *f)
{
    size_t before = conf_findings_count(f, CONF_ERROR);
    struct conf_memory *scratch = conf_memory_new();
    struct snapshot *s = scratch ? snapshot_new(file) : NULL;
    if (s)
        fill(s, scratch, bytes, read_files, f);
    else
        conf_finding_add(f, CONF_ERROR, (struct conf_mark){0}, "out of memory");
    conf_memory_free(scratch);
    if (conf_findings_count(f, CONF_ERROR) != before) {
        snapshot_release(s);
        return NULL;
    }
    s->generation = atomic_fetch_add(&generations, 1) + 1;
    return s;
}

struct snapshot *conf_load_memory(const char *name, struct str bytes, struct conf_findings *f)
{
    return conf_load_bytes(name, bytes, false, f);
}

struct snapshot *conf_load(const char *path, struct conf_findings *f)
{
    const char *why = "out of memory";
    struct str bytes;
    struct snapshot *s = NULL;
    struct conf_memory *m = conf_memory_new();
    if (!m || conf_slurp(m, path, &bytes, &why) != 0)
        conf_finding_add(f, CONF_ERROR, (struct conf_mark){path, 0, 0}, "cannot be read: %s", why);
    else
        s = conf_load_bytes(path, bytes, true, f);
    conf_memory_free(m);
    return s;
}
