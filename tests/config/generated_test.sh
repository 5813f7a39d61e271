#!/bin/sh
# The generated documents in the tree are what the option table says: generated_test.sh CONF-GENERATE SOURCE-ROOT
generate=$1 root=$2 n=0 bad=0
for pair in reference:docs/configuration.md man:docs/postern.yaml.5 sample:config/postern.yaml; do
    n=$((n + 1))
    if "$generate" "${pair%%:*}" | diff -u "$root/${pair#*:}" - >&2; then echo "ok $n - ${pair#*:}"
    else echo "not ok $n - ${pair#*:}: run ninja docs-update"; bad=1; fi
done
echo "1..$n"
exit $bad
