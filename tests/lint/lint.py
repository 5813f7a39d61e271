#!/usr/bin/env python3
"""One rule on one tree: lint.py RULE ROOT [BUILD]. Exit status 1 when it finds something, 77 when it cannot look."""
import sys

import compiled
import layers
import source
import tables
import words
from tree import Tree

RULES = {
    "layers": layers.layers,
    "openssl": source.openssl,
    "lengths": source.lengths,
    "banned": source.banned,
    "tables": tables.tables,
    "used": tables.used,
    "told": tables.told,
    "sources": tables.sources,
    "words": words.words,
    "keys": words.keys,
    "links": words.links,
    "format": compiled.formatted,
    "headers": compiled.headers,
}


def main(arguments):
    if len(arguments) < 2 or arguments[0] not in RULES:
        print(__doc__ + "\nRULE: " + " ".join(RULES), file=sys.stderr)
        return 2
    found = 0
    try:
        for text in RULES[arguments[0]](Tree(arguments[1]), *arguments[2:]):
            found += 1
            print(text)
    except compiled.Skipped as why:
        print("skipped: %s" % why)
        return 77
    print("%s: %d found" % (arguments[0], found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
