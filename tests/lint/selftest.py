#!/usr/bin/env python3
"""Can every rule fail? Each is run on a small good tree, then on that tree with one thing broken: selftest.py"""
import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile

import compiled
import lint
from tree import Tree

HERE = os.path.dirname(os.path.abspath(__file__))
LONG = "int long_one(void)\n{\n%s}\n" % ("    x++;\n" * 81)
KEY = "-----BEGIN %s-----\n%s\n-----END %s-----\n" % ("PRIVATE " "KEY", "\n".join(["MIIEvQ+/" * 8] * 4), "PRIVATE " "KEY")

GOOD = {
    "tests/lint/rooms.txt": "0 base str\n1 conf conf\n2 net tls\n3 ops\n4 main\nonly uv.h net\nonly openssl/ net\n",
    "include/postern/str.h": "#ifndef S\n#define S\nstruct str;\n#endif\n",
    "include/postern/conf.h": "#ifndef C\n#define C\n#include <postern/str.h>\n#endif\n",
    "include/postern/tls.h": "#ifndef T\n#define T\n#include <postern/conf.h>\n#endif\n",
    "include/postern/metrics.def": 'METRIC(A, COUNTER, "postern_a_total", "", "a, (b)")\nMETRIC(B, GAUGE, "postern_b", "", "b")\n',
    "include/postern/log_events.def": '/* EVENT(x) */\nLOG_EVENT(A, "PO-RUN-0001", INFO, "a \\"b\\"")\n',
    "include/postern/reasons.def": 'REASON(OK, "ok", "fine")\n',
    "include/postern/auth_details.def": 'AUTH_DETAIL(NONE, "ok", "fine")\n',
    "include/postern/options.def": 'OPTION(a, x, "x", bool, "true", 0, 0, 0, "m")\nOPTION(b, x, "x", bool, "true", 0, 0, 0, "m")\n',
    "proxy/base/str.c": "#include <postern/str.h>\n\nint a = s.x + METRIC_A + METRIC_B + LOG_EV_A + REASON_OK + AUTH_DETAIL_NONE;\n",
    "proxy/base/meson.build": "files(\n  'str.c',\n)\n",
    "proxy/net/tls.c": '#include <uv.h>\n#include <openssl/ssl.h>\n#include <postern/tls.h>\n#include "net_int.h"\n\nvoid f(void)\n{\n    SSL_new(0);\n}\n',
    "proxy/net/net_int.h": "#include <postern/tls.h>\n",
    "proxy/net/meson.build": "files('tls.c')\n",
    "proxy/ops/command.h": "struct command;\n",
    "proxy/ops/run.c": '/* strcpy(a, b) */\n#include <postern/tls.h>\n#include "command.h"\n\nconst char *s = "system(x)";\n',
    "proxy/ops/meson.build": "files('run.c')\n",
    "proxy/main.c": '#include "ops/command.h"\n',
    "proxy/meson.build": "executable('postern', 'main.c')\n",
    "bench/cas/main.c": "int y;\n",
    "bench/cas/meson.build": "executable('cas', 'main.c')\n",
    "README.md": "[good](proxy/main.c) [o](docs/operating.md) [far](https://example.com/) [part](#part)\n",
    "docs/operating.md": "| 200 | `ok` | fine | |\n",
    "tests/config/good/dummy.key": "-----BEGIN DUMMY KEY-----\nnone\n",
    ".clang-format": "BasedOnStyle: LLVM\nIndentWidth: 4\nAllowShortFunctionsOnASingleLine: None\nBreakBeforeBraces: Linux\nSortIncludes: false\n",
}

# (rule, file, what is added at its end; None: the file goes; or a pair to replace, and a word of the finding)
BAD = [
    ("layers", "proxy/base/str.c", "#include <postern/conf.h>\n", "base (floor 0) includes"),
    ("layers", "include/postern/str.h", "#include <postern/tls.h>\n", "base (floor 0) includes"),
    ("layers", "proxy/base/str.c", "#include <uv.h>\n", "may not name <uv.h>"),
    ("layers", "proxy/ops/run.c", "#  include <openssl/ssl.h>\n", "may not name <openssl/ssl.h>"),
    ("layers", "proxy/ops/run.c", '#include "../net/net_int.h"\n', "private header of another folder"),
    ("layers", "proxy/main.c", '#include "net/net_int.h"\n', "private header of another folder"),
    ("layers", "proxy/ops/run.c", "#include <postern/gone.h>\n", "does not exist"),
    ("layers", "include/postern/new.h", "struct n;\n", "listed in no room"),
    ("layers", "include/postern/tls.h", None, "does not exist"),
    ("layers", "proxy/kitchen/cook.c", "int c;\n", "no room of"),
    ("layers", "proxy/net/net_int.h", '#include "net_int.h"\n', "circle"),
    ("openssl", "proxy/ops/run.c", "void g(void)\n{\n    SSL_free (0);\n}\n", "SSL_free"),
    ("openssl", "proxy/net/stream.c", "#include <openssl/ssl.h>\n", "openssl/ssl.h"),
    ("lengths", "proxy/base/str.c", LONG, "long_one has 81 lines"),
    ("lengths", "bench/cas/main.c", "int z;\n" * 601, "at most 600"),
    ("banned", "proxy/ops/run.c", "int h(void)\n{\n    return system(s);\n}\n", "system is banned"),
    ("banned", "bench/cas/main.c", "int h(void)\n{\n    return (atoi (s));\n}\n", "atoi is banned"),
    ("tables", "include/postern/metrics.def", 'METRIC(A, GAUGE, "postern_c", "", "again")\n', "stands already"),
    ("tables", "include/postern/metrics.def", 'METRIC(C, GAUGE, "postern_" "b", "", "again")\n', "stands already"),
    ("tables", "include/postern/metrics.def", 'METRIC(C, COUNTER, "postern_c", "", "c")\n', "_total"),
    ("tables", "include/postern/metrics.def", 'METRIC(C, GAUGE, "gate_c", "", "c")\n', "not of the form"),
    ("tables", "include/postern/log_events.def", 'LOG_EVENT(B, "PO-RUN-0001", INFO, "b")\n', "stands already"),
    ("tables", "include/postern/log_events.def", 'LOG_EVENT(B, "RUN-2", INFO, "b")\n', "not of the form"),
    ("tables", "include/postern/options.def", 'OPTION(a, y, "x", bool, "true", 0, 0, 0, "m")\n', "stands already"),
    ("tables", "include/postern/new.def", "NEW(a)\n", "unknown table"),
    ("used", "include/postern/reasons.def", 'REASON(LOST, "lost", "x")\n', "REASON_LOST is used nowhere"),
    ("used", "proxy/base/str.c", ("REASON_OK", "f(x)"), "REASON_OK is used nowhere"),
    ("used", "proxy/base/str.c", ("REASON_OK", "({ switch (x) { case REASON_OK: break; } 0; })"), "REASON_OK is used nowhere"),
    ("used", "proxy/base/str.c", ("METRIC_B", "0 /* METRIC_B */"), "METRIC_B is used nowhere"),
    ("used", "include/postern/options.def", 'OPTION(a, y, "y", bool, "true", 0, 0, 0, "m")\n', "nothing reads the member y"),
    ("told", "include/postern/reasons.def", 'REASON(LOST, "lost", "x")\n', "lost is not explained"),
    ("sources", "proxy/base/new.c", "int n;\n", "never built"),
    ("sources", "proxy/base/meson.build", "files('gone.c')\n", "does not exist"),
    ("sources", "proxy/net/meson.build", None, "no meson.build"),
    ("words", "proxy/base/str.c", "/* TO" "DO: more */\n", "work left over"),
    ("words", "README.md", "see /wo" "rk/main for it\n", "a path of one machine"),
    ("words", "README.md", "see ../sha" "red/DESIGN.md\n", "a path of one machine"),
    ("words", "proxy/base/str.c", "/* the Up" "stream */\n", "say client or backend"),
    ("keys", "tests/config/good/new.key", KEY, "holds a private key"),
    ("keys", "certs/demo.pfx", "x", "key container"),
    ("links", "README.md", "[bad](docs/gone.md)\n", "link to nowhere"),
    ("links", "README.md", "[bad](docs/gone.md#part)\n", "link to nowhere"),
    ("links", "docs/new.md", "text\n", "README.md does not lead"),
    ("format", "proxy/base/str.c", "int  h( void ){return 1;}\n", "not formatted"),
    ("headers", "include/postern/str.h", "struct a { uint32_t b; };\n", "does not compile alone"),
    ("headers", "include/postern/conf.h", "enum twice { A };\n", "does not compile alone"),
]


def write(root, name, text):
    path = os.path.join(root, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def broken(root, name, change):
    path = os.path.join(root, name)
    old = ""
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            old = file.read()
    if change is None:
        os.unlink(path)
    elif isinstance(change, tuple):
        assert change[0] in old
        write(root, name, old.replace(*change))
    else:
        write(root, name, old + change)


def run(root, rule):
    """What the rule finds, or None when it cannot look."""
    more = [os.path.join(root, "build")] if rule == "headers" else []
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            return list(lint.RULES[rule](Tree(root), *more))
    except compiled.Skipped:
        return None


class Tap:
    def __init__(self):
        self.n = self.bad = 0

    def say(self, good, text, skip=""):
        self.n += 1
        self.bad += not good
        print("%sok %d - %s%s" % ("" if good else "not ", self.n, text, " # SKIP " + skip if skip else ""))


def good_tree(folder):
    root = tempfile.mkdtemp(dir=folder)
    for name, text in GOOD.items():
        write(root, name, text)
    entry = {"directory": root, "file": "proxy/ops/run.c", "command": "cc -c -MD -MF x.d -o x.o proxy/ops/run.c"}
    write(root, "build/compile_commands.json", json.dumps([entry]))
    return root


def main():
    tap = Tap()
    with tempfile.TemporaryDirectory() as folder:
        for rule in lint.RULES:
            found = run(good_tree(folder), rule)
            tap.say(not found, "%s: the good tree %s" % (rule, found or ""), "cannot look" if found is None else "")
        for rule, name, change, wanted in BAD:
            root = good_tree(folder)
            broken(root, name, change)
            found = run(root, rule)
            tap.say(found is None or any(wanted in f for f in found), "%s: %s: %s" % (rule, name, wanted),
                    "cannot look" if found is None else "")
            if found is not None and not any(wanted in f for f in found):
                print("# found: %s" % found)
        missing = set(lint.RULES) - {b[0] for b in BAD}
        tap.say(not missing, "every rule is seen to fail %s" % (missing or ""))
        git_tree(tap, folder)
    print("1..%d" % tap.n)
    return 1 if tap.bad else 0


def git_tree(tap, folder):
    """In a repository what git ignores is not looked at."""
    if not shutil.which("git"):
        return tap.say(True, "git", "not installed")
    root = good_tree(folder)
    subprocess.run(["git", "init", "-q", root], check=True)
    write(root, ".gitignore", "/build\n/scratch\n")
    write(root, "scratch/key.pem", KEY)
    write(root, "new/key.pem", KEY)
    found = run(root, "keys")
    return tap.say(len(found) == 1 and found[0].startswith("new/"), "keys: of what git would take %s" % found)


if __name__ == "__main__":
    sys.exit(main())
