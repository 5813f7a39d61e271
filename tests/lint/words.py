"""What must not stand in any file: traces of a machine or of work left over, secrets, links to nowhere."""
import os
import re

# Put together here so that this file does not find itself.
_LEFT_OVER = re.compile(r"\b(%s)\b" % "|".join(("TO" "DO", "FIX" "ME", "XX" "X", "HA" "CK")))
_PLACES = re.compile(r"(?<![\w.~$}>-])/(%s)(?=[/\s\"'`),;:]|$)|\.\./(%s)\b" % ("|".join(("wo" "rk", "ro" "ot", "tmp/w" "t", "tmp/te" "am")), "sha" "red"))
_SIDES = re.compile(r"\b(up" r"stream|down" r"stream)s?\b", re.I)
_TEXT = (".c", ".h", ".def", ".py", ".sh", ".md", ".yaml", ".yml", ".txt", ".build", ".1", ".5", ".service", ".conf", ".cfg", "")


def _lines(tree, names):
    for name in names:
        data = tree.bytes(name)
        if b"\0" in data:
            continue
        for n, line in enumerate(data.decode("utf-8", "replace").splitlines(), 1):
            yield name, n, line


def words(tree):
    ours = [n for n in tree.names if os.path.splitext(n)[1] in _TEXT and "/corpus/" not in n]
    for name, n, line in _lines(tree, ours):
        for pattern, why in ((_LEFT_OVER, "work left over"), (_PLACES, "a path of one machine")):
            m = pattern.search(line)
            if m:
                yield "%s:%d: %s: %s" % (name, n, why, m.group(0))
    for name, n, line in _lines(tree, tree.some("proxy", "include", ends=(".c", ".h", ".def"))):
        m = _SIDES.search(line)
        if m:
            yield "%s:%d: %s: say client or backend" % (name, n, m.group(0))


_BEGIN = re.compile(rb"-----BEGIN ([A-Z0-9 ]*)-----\s+(?:[A-Za-z0-9-]+: [^\n]*\n)*\s*([A-Za-z0-9+/=\r\n]{64,})")
_CONTAINERS = (".p12", ".pfx", ".jks", ".kdbx", ".keytab")


def keys(tree):
    """Keys and certificates are made by certs/make-certs when they are needed, and never stored."""
    for name in tree.names:
        if name.endswith(_CONTAINERS):
            yield "%s: a key container" % name
        for m in _BEGIN.finditer(tree.bytes(name)):
            yield "%s: holds a %s" % (name, m.group(1).decode().lower())


_LINK = re.compile(r"\[[^\]\n]*\]\(([^)\s#]+)(?:#[^)\s]*)?\)")


def links(tree):
    """Relative links of the documents lead to a file, and the README leads to every document."""
    front = tree.text("README.md") if tree.exists("README.md") else ""
    for name in tree.some("docs", "bench", "certs", ends=(".md",)):
        if "(%s)" % name not in front:
            yield "%s: README.md does not lead to it" % name
    for name in tree.names:
        if not name.endswith(".md"):
            continue
        for n, line in enumerate(tree.text(name).splitlines(), 1):
            for m in _LINK.finditer(line):
                target = m.group(1)
                if "://" not in target and not target.startswith("mailto:"):
                    if not tree.exists(os.path.normpath(os.path.join(os.path.dirname(name), target))):
                        yield "%s:%d: link to nowhere: %s" % (name, n, target)
