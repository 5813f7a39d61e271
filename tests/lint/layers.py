"""Includes point one way: from a room to its own contracts and to the rooms below it; never in a circle."""
import os
import re

from tree import code, line_of

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.M)
CONTRACTS = "include/postern"


class Rooms:
    def __init__(self, text):
        self.floor, self.room_of, self.only = {}, {}, {}
        self.twice = []
        for line in text.splitlines():
            words = line.split("#")[0].split()
            if words[:1] == ["only"]:
                self.only[words[1]] = words[2:]
            elif words:
                self._room(words)

    def _room(self, words):
        self.floor[words[1]] = int(words[0])
        for header in words[2:]:
            if header in self.room_of:
                self.twice.append(header)
            self.room_of[header] = words[1]

    def of_file(self, name):
        parts = name.split("/")
        if parts[0] == "include":
            return self.room_of.get(os.path.splitext(parts[-1])[0])
        return parts[1] if len(parts) > 2 else "main"

    def may(self, room, other):
        return room == other or self.floor[other] < self.floor[room]


def _resolve(tree, name, quote, what):
    """The file of the tree that an include names; None: a foreign header."""
    if quote == '"':
        return os.path.normpath(os.path.join(os.path.dirname(name), what))
    return "include/" + what if what.startswith("postern/") else None


def _foreign(rooms, room, what):
    for prefix, allowed in rooms.only.items():
        if (what.startswith(prefix) if prefix.endswith("/") else what == prefix) and room not in allowed:
            return "the room %s may not name <%s>: %s may" % (room, what, ", ".join(allowed))
    return None


def _fault(tree, rooms, name, quote, what):
    room = rooms.of_file(name)
    target = _resolve(tree, name, quote, what)
    if target is None:
        return _foreign(rooms, room, what)
    if not tree.exists(target):
        return "%s does not exist" % target
    if target.endswith(".def") and target.startswith(CONTRACTS):
        return None
    other = rooms.of_file(target)
    if other is None or other not in rooms.floor:
        return "%s belongs to no room" % target
    # main names the face of ops; a *_int.h is for its own folder alone.
    if quote == '"' and os.path.dirname(target) != os.path.dirname(name) and (
            room != "main" or target.endswith("_int.h")):
        return "private header of another folder: %s" % what
    if not rooms.may(room, other):
        return "%s (floor %d) includes %s of %s (floor %d)" % (room, rooms.floor[room], what, other, rooms.floor[other])
    return None


def _table_faults(tree, rooms):
    headers = {os.path.basename(n)[:-2] for n in tree.some(CONTRACTS, ends=(".h",))}
    for header in sorted(headers - set(rooms.room_of)):
        yield "tests/lint/rooms.txt: %s.h is listed in no room" % header
    for header in sorted(set(rooms.room_of) - headers):
        yield "tests/lint/rooms.txt: %s.h does not exist" % header
    for header in rooms.twice:
        yield "tests/lint/rooms.txt: %s.h is listed twice" % header


def _circle(graph):
    """A circle in the graph, as a list of names, or None."""
    done, path = set(), []

    def visit(name):
        if name in path:
            return path[path.index(name):] + [name]
        if name in done:
            return None
        path.append(name)
        for other in graph.get(name, ()):
            found = visit(other)
            if found:
                return found
        path.pop()
        done.add(name)
        return None

    for name in sorted(graph):
        found = visit(name)
        if found:
            return found
    return None


def layers(tree):
    rooms = Rooms(tree.text("tests/lint/rooms.txt"))
    graph = {}
    yield from _table_faults(tree, rooms)
    for name in tree.some("include", "proxy"):
        if rooms.of_file(name) not in rooms.floor:
            yield "%s: no room of tests/lint/rooms.txt" % name
            continue
        text = code(tree.text(name), strings=True)
        for m in INCLUDE.finditer(text):
            fault = _fault(tree, rooms, name, m.group(1), m.group(2))
            if fault:
                yield "%s:%d: %s" % (name, line_of(text, m.start()), fault)
            graph.setdefault(name, []).append(_resolve(tree, name, m.group(1), m.group(2)))
    circle = _circle(graph)
    if circle:
        yield "a circle of includes: %s" % " -> ".join(circle)
