#!/bin/sh
# The committed postern(1) is what the table of commands says. usage: manual_test.sh POSTERN docs/postern.1
echo 1..1
if "$1" help --man | diff "$2" - >&2; then
    echo "ok 1 - postern(1) is up to date"
else
    echo "not ok 1 - postern(1): postern help --man >docs/postern.1"
fi
