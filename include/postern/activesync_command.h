/*
 * activesync_command: the commands and protocol versions of Exchange ActiveSync, for whoever counts or names them. The rows are
 * in activesync_commands.def and activesync_versions.def.
 */
#ifndef POSTERN_ACTIVESYNC_COMMAND_H
#define POSTERN_ACTIVESYNC_COMMAND_H

#include <stdint.h>
#include <postern/str.h>

enum { ACTIVESYNC_HANGS = 1 };

enum activesync_command {
    ACTIVESYNC_NONE, /* no query: OPTIONS */
#define ACTIVESYNC_COMMAND(id, name, code, flags) ACTIVESYNC_##id,
#include <postern/activesync_commands.def>
#undef ACTIVESYNC_COMMAND
    ACTIVESYNC_COMMAND_COUNT
};

/* Protocol versions that there are, for whoever counts them. */
enum activesync_version {
    ACTIVESYNC_VERSION_NONE, /* not told: OPTIONS */
#define ACTIVESYNC_VERSION(number, name) ACTIVESYNC_VERSION_##number,
#include <postern/activesync_versions.def>
#undef ACTIVESYNC_VERSION
    ACTIVESYNC_VERSION_OTHER,
    ACTIVESYNC_VERSION_COUNT
};

/* Of 141 (14.1), 25 (2.5)...; 0: NONE. */
enum activesync_version activesync_version_kind(uint8_t version);
const char *activesync_version_name(enum activesync_version v); /* "none", "2.5"..., "other" */

struct str activesync_command_name(enum activesync_command c); /* "" for NONE */
unsigned activesync_command_flags(enum activesync_command c);
/* NONE: no such command. */
enum activesync_command activesync_command_named(struct str name); /* any case */
enum activesync_command activesync_command_coded(int code);

#endif
