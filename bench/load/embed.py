#!/usr/bin/env python3
"""embed.py PAGE HEADER: the page as two C strings, what stands before its @DATA@ and what stands behind."""
import sys


def literal(name, text):
    lines = []
    for line in text.splitlines(keepends=True):
        quoted = line.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
        lines.append('    "%s"' % quoted)
    return "static const char %s[] =\n%s;\n" % (name, "\n".join(lines))


with open(sys.argv[1], encoding="utf-8") as page:
    head, tail = page.read().split("@DATA@")
with open(sys.argv[2], "w", encoding="utf-8") as header:
    header.write(literal("report_page_head", head) + literal("report_page_tail", tail))
