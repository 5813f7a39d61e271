#!/bin/sh
# The manual pages are sound roff. usage: manual_test.sh PAGE...
# mandoc's own check where it is installed, else groff's warnings, else nothing can be said.
echo "1..$#"
n=0
for page in "$@"; do
    n=$((n + 1))
    name=$(basename "$page")
    if command -v mandoc >/dev/null; then
        found=$(mandoc -T lint -W warning "$page" | grep -v 'missing date')
    elif command -v groff >/dev/null; then
        found=$(groff -man -ww -z "$page" 2>&1)
    else
        echo "ok $n - $name # SKIP neither mandoc nor groff is installed"
        continue
    fi
    if [ -z "$found" ]; then
        echo "ok $n - $name"
    else
        echo "$found" >&2
        echo "not ok $n - $name"
    fi
done
