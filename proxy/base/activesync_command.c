#include <postern/activesync_command.h>

static const struct {
    struct str name;
    int code;
    unsigned flags;
} commands[ACTIVESYNC_COMMAND_COUNT] = {
    [ACTIVESYNC_NONE] = {STR(""), -1, 0},
#define ACTIVESYNC_COMMAND(id, name_, code_, flags_) [ACTIVESYNC_##id] = {STR(name_), code_, flags_},
#include <postern/activesync_commands.def>
#undef ACTIVESYNC_COMMAND
};

struct str activesync_command_name(enum activesync_command c)
{
    return commands[c].name;
}

unsigned activesync_command_flags(enum activesync_command c)
{
    return commands[c].flags;
}

enum activesync_command activesync_command_named(struct str name)
{
    for (int c = 1; c < ACTIVESYNC_COMMAND_COUNT; c++) {
        if (str_eq_nocase(name, commands[c].name))
            return (enum activesync_command)c;
    }
    return ACTIVESYNC_NONE;
}

enum activesync_command activesync_command_coded(int code)
{
    for (int c = 1; c < ACTIVESYNC_COMMAND_COUNT && code >= 0; c++) {
        if (commands[c].code == code)
            return (enum activesync_command)c;
    }
    return ACTIVESYNC_NONE;
}

/* ---- versions ---- */

static const struct {
    uint8_t number;
    const char *name;
} versions[] = {
    [ACTIVESYNC_VERSION_NONE] = {0, "none"},
#define ACTIVESYNC_VERSION(number, name) [ACTIVESYNC_VERSION_##number] = {number, name},
#include <postern/activesync_versions.def>
#undef ACTIVESYNC_VERSION
    [ACTIVESYNC_VERSION_OTHER] = {255, "other"},
};

enum activesync_version activesync_version_kind(uint8_t version)
{
    for (unsigned i = 0; i < ACTIVESYNC_VERSION_OTHER; i++) {
        if (versions[i].number == version)
            return (enum activesync_version)i;
    }
    return ACTIVESYNC_VERSION_OTHER;
}

const char *activesync_version_name(enum activesync_version v)
{
    return versions[v].name;
}
