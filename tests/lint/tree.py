"""What the lint rules share: the files of the tree, C without comments and strings, functions, rows of tables."""
import os
import re
import shutil
import subprocess

SKIPPED_FOLDERS = {".git", "__pycache__", ".pytest_cache", ".cache"}


def _tracked(root):
    """Tracked files and new ones that git would take; None outside a repository, or without git."""
    if not shutil.which("git") or not os.path.exists(os.path.join(root, ".git")):
        return None
    done = subprocess.run(["git", "-C", root, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    if done.returncode != 0:
        return None
    names = sorted(set(os.fsdecode(done.stdout).split("\0")) - {""})
    return [n for n in names if os.path.isfile(os.path.join(root, n))]


def _walked(root):
    found = []
    for folder, folders, names in os.walk(root):
        top = folder == root
        folders[:] = [f for f in folders if f not in SKIPPED_FOLDERS and not (top and f.startswith("build"))]
        found += [os.path.relpath(os.path.join(folder, n), root) for n in names]
    return sorted(found)


class Tree:
    def __init__(self, root):
        self.root = os.path.abspath(root)
        names = _tracked(self.root)
        self.names = _walked(self.root) if names is None else names

    def path(self, name):
        return os.path.join(self.root, name)

    def exists(self, name):
        return os.path.exists(self.path(name))

    def some(self, *folders, ends=(".c", ".h")):
        """Names below the folders that end so."""
        return [n for n in self.names if n.endswith(tuple(ends)) and n.startswith(tuple(f + "/" for f in folders))]

    def bytes(self, name):
        with open(self.path(name), "rb") as file:
            return file.read()

    def text(self, name):
        return self.bytes(name).decode("utf-8", "replace")


_TOKEN = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def code(text, strings=False):
    """C without comments (and, unless asked for, without the insides of strings); line numbers stay."""
    def gone(m):
        token = m.group(0)
        if token[0] in "\"'":
            return token if strings else token[0] * 2
        return "\n" * token.count("\n") or " "
    return _TOKEN.sub(gone, text)


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


_NAME = re.compile(r"(\w+)\s*\(")


def functions(text):
    """(name, line of the body's brace, lines of body). The format has a function's braces alone in column 0."""
    lines = code(text).split("\n")
    begin = None
    for i, line in enumerate(lines):
        if line == "{":
            begin = i
        elif line == "}" and begin is not None:
            head = begin - 1
            while head > 0 and lines[head][:1] in (" ", "\t"):
                head -= 1
            name = _NAME.search(" ".join(lines[head:begin]))
            yield name.group(1) if name else "?", begin + 1, i - begin - 1
            begin = None


def _row_end(text, at):
    depth = 0
    for i in range(at, len(text)):
        depth += {"(": 1, ")": -1}.get(text[i], 0)
        if depth == 0:
            return i
    return len(text)


_CELL = re.compile(r'"(?:\\.|[^"\\])*"|[(\[{]|[)\]}]|,|[^",()\[\]{}]+')


def _cells(text):
    cells, depth = [""], 0
    for m in _CELL.finditer(text):
        token = m.group(0)
        depth += (token in "([{") - (token in ")]}")
        if token == "," and depth == 0:
            cells.append("")
        else:
            cells[-1] += token
    return [c.strip() for c in cells]


def _plain(cell):
    parts = re.findall(r'"((?:\\.|[^"\\])*)"', cell)
    return "".join(parts).replace('\\"', '"') if parts else cell


def rows(text):
    """(macro, cells, line) of every row MACRO(a, "b", ...) of a table; strings without quotes."""
    text = code(text, strings=True)
    quoted = _TOKEN.sub(lambda m: '"' + "_" * (len(m.group(0)) - 2) + '"', text)
    for m in re.finditer(r"^([A-Z_]+)\(", quoted, re.M):
        inner = text[m.end():_row_end(quoted, m.end() - 1)]
        yield m.group(1), [_plain(c) for c in _cells(inner)], line_of(text, m.start())
