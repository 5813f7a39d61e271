"""Every row of a table has names of its own and a use; every source is built."""
import os
import re

from tree import code, rows

CONTRACTS = "include/postern"
# table: (columns that are unique together, for each such rule)
UNIQUE = {
    "access_fields.def": [(0,), (1,), (2,)],
    "activesync_commands.def": [(0,), (1,)],
    "activesync_versions.def": [(0,), (1,)],
    "auth_details.def": [(0,), (1,)],
    "exchange_versions.def": [(0, 1, 2, 3)],
    "fields.def": [(0,), (1,)],
    "filters.def": [(0,)],
    "log_events.def": [(0,), (1,)],
    "methods.def": [(0,), (1,)],
    "metrics.def": [(0,), (2,)],
    "metrics_labelled.def": [(0,), (1,)],
    "options.def": [(0, 2)],
    "phases.def": [(0,), (1,)],
    "reasons.def": [(0,), (1,)],
    "rules.def": [(0,)],
    "services.def": [(0,)],
}
# table: (column of the name, what it looks like)
SHAPE = {
    "log_events.def": (1, re.compile(r"PO-[A-Z]+-\d{4}$")),
    "metrics.def": (2, re.compile(r"postern_[a-z0-9_]+$")),
    "reasons.def": (1, re.compile(r"[a-z0-9_]+$")),
    "options.def": (2, re.compile(r"[a-z0-9_]+$")),
}
# table: the constant that its first column makes
USED = {"log_events.def": "LOG_EV_%s", "metrics.def": "METRIC_%s", "reasons.def": "REASON_%s",
        "auth_details.def": "AUTH_DETAIL_%s"}


def _twice(name, found, columns):
    seen = {}
    for macro, cells, line in found:
        # HTTP header names differ only in case for nobody.
        key = (macro,) + tuple(cells[c].lower() for c in columns if c < len(cells))
        if key in seen:
            yield "%s:%d: %s stands already in line %d" % (name, line, " ".join(key[1:]), seen[key])
        seen.setdefault(key, line)


def _shape(name, found, column, pattern):
    for _, cells, line in found:
        if column < len(cells) and not pattern.match(cells[column]):
            yield "%s:%d: %s is not of the form %s" % (name, line, cells[column], pattern.pattern)


def _metric_names(name, found):
    for _, cells, line in found:
        if (cells[1] == "COUNTER") != cells[2].endswith("_total"):
            yield "%s:%d: %s: counters, and only they, end in _total" % (name, line, cells[2])


def tables(tree):
    for name in tree.some(CONTRACTS, ends=(".def",)):
        base = os.path.basename(name)
        if base not in UNIQUE:
            yield "%s: unknown table: say in tests/lint/tables.py which columns are unique" % name
            continue
        found = list(rows(tree.text(name)))
        if not found:
            yield "%s: no rows" % name
        for columns in UNIQUE[base]:
            yield from _twice(name, found, columns)
        if base in SHAPE:
            yield from _shape(name, found, *SHAPE[base])
        if base == "metrics.def":
            yield from _metric_names(name, found)


def used(tree):
    """A metric that nobody counts, an event that nobody writes, an option that nothing reads: a promise not kept."""
    words, members = set(), set()
    for name in tree.some("proxy"):
        text = code(tree.text(name))
        words.update(re.findall(r"\w+", re.sub(r"\bcase\s+\w+\s*:", "", text)))  # a case alone makes nothing happen
        members.update(re.findall(r"(?:->|\.)\s*(\w+)", text))
    for base, form in USED.items():
        name = "%s/%s" % (CONTRACTS, base)
        for _, cells, line in rows(tree.text(name)):
            if form % cells[0] not in words:
                yield "%s:%d: %s is used nowhere in proxy/" % (name, line, form % cells[0])
    name = "%s/options.def" % CONTRACTS
    for _, cells, line in rows(tree.text(name)):
        if cells[1] not in members:
            yield "%s:%d: nothing reads the member %s of %s" % (name, line, cells[1], cells[0])


def told(tree):
    """Every reason for which a client is refused or cut has its row, with cause and remedy, among the operator's troubles."""
    text = tree.text("docs/operating.md")
    for _, cells, line in rows(tree.text("%s/reasons.def" % CONTRACTS)):
        if "`%s`" % cells[1] not in text:
            yield "%s/reasons.def:%d: %s is not explained in docs/operating.md" % (CONTRACTS, line, cells[1])


_NAMED = re.compile(r"'([\w./-]+\.c)'")


def sources(tree):
    folders = sorted({os.path.dirname(n) for n in tree.some("proxy", "bench", ends=(".c",))})
    for folder in folders:
        have = {os.path.basename(n) for n in tree.some(folder, ends=(".c",)) if os.path.dirname(n) == folder}
        build = folder + "/meson.build"
        if not tree.exists(build):
            yield "%s: has sources and no meson.build" % folder
            continue
        named = set(_NAMED.findall(re.sub(r"#[^\n]*", "", tree.text(build))))
        for name in sorted(have - named):
            yield "%s/%s: not named in %s: never built" % (folder, name, build)
        for name in sorted(n for n in named - have if "/" not in n):
            yield "%s: names %s, which does not exist" % (build, name)
