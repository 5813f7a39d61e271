/* What a proof of a password holds under: FNV-1a of all that may change a directory's mind. */
#include "conf_int.h"

static uint64_t mix(uint64_t h, struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        h = (h ^ (unsigned char)s.p[i]) * UINT64_C(0x100000001b3);
    return (h ^ 0x100) * UINT64_C(0x100000001b3);
}

static uint64_t mix_node(uint64_t h, const struct conf_node *n)
{
    h = mix(mix(h, n->key), n->text);
    for (const struct conf_node *x = n->first; x; x = x->next)
        h = mix_node(h, x);
    return h;
}

/* A chain leans on others, and group bits on what is published: a change of one counts for all. */
void conf_identify_directories(struct conf_apply *a, const struct conf_node *root)
{
    const struct conf_node *directories = conf_node_find(root, STR("directories"));
    struct snapshot *s = a->s;
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    if (directories)
        h = mix_node(h, directories);
    for (size_t i = 0; i < s->groups.n; i++)
        h = mix(h, s->groups.v[i]);
    for (size_t i = 0; i < s->directories_n; i++)
        h = mix(h, s->directories[i].file.bytes);
    for (size_t i = 0; i < s->directories_n; i++)
        s->directories[i].id = mix(h, s->directories[i].name);
}
