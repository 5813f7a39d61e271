#!/bin/sh
# The manual page in the tree is what the tables say. usage: manual_test.sh POSTERN_LOAD PAGE
echo 1..1
if "$1" --man | cmp - "$2" >&2; then
    echo "ok 1 - postern-load.1 is up to date"
else
    echo "not ok 1 - postern-load.1: ninja docs-update writes it anew"
fi
