#!/bin/sh
# The committed reference is what the tables say. usage: reference_test.sh REFERENCE-GENERATE docs/reference.md
echo 1..1
if "$1" | diff -u "$2" - >&2; then
    echo "ok 1 - docs/reference.md"
else
    echo "not ok 1 - docs/reference.md: run ninja docs-update"
fi
