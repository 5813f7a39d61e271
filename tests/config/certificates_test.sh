#!/bin/sh
# `postern check` says everything about certificates at once, each with its place.
# usage: certificates_test.sh POSTERN MAKE_CERTS FOLDER
set -eu
postern=$1
"$2" "$3"
cd "$3"
SSL_CERT_FILE=/dev/null SSL_CERT_DIR=/nonexistent
export SSL_CERT_FILE SSL_CERT_DIR

cat >bad.yaml <<END
listeners:
  - {address: "127.0.0.1:8443", certificates: [mail, old]}
  - {address: "127.0.0.1:8444", certificates: [cn]}
certificates:
  mail: {chain: gap.pem, key: encrypted.key}
  old:
    chain: expired.pem
    key: wrong-key.key
  cn: {chain: cn-only.pem, key: cn-only.key}
  spare: {chain: wmsvc.pem, key: wmsvc.key, ocsp: san.ocsp}
backends: {origin: {servers: ["https://cas"]}}
publish:
  - {hosts: [mail.example.com, web.example.net], to: origin, authenticate: none, services: [owa]}
END
cat >places <<END
bad.yaml:5:17: error: lacks the intermediate
bad.yaml:5:31: error: is encrypted
bad.yaml:7:12: error: expired on 2021-01-01
bad.yaml:8:10: error: does not belong
bad.yaml:10:3: warning: used by no listener
bad.yaml:10:18: error: Web Management Service
bad.yaml:10:51: error: not for this certificate
bad.yaml:13:5: error: no certificate of listeners[0]
bad.yaml:13:5: warning: only in the CN
bad.yaml:13:5: error: no certificate of listeners[1]
bad.yaml: 8 errors, 2 warnings
END
sed 's/ certificates: .*/ certificates: [mail]}/; /8444/d; s/gap.pem/san.pem/; s/encrypted.key/san.key/; /old:/,/spare:/d;
    s/, web.example.net//' bad.yaml >good.yaml

echo 1..4
n=0
ok() { # ok NAME COMMAND...
    n=$((n + 1)) name=$1
    shift
    if "$@"; then echo "ok $n - $name"; else echo "not ok $n - $name"; fi
}
is_in_order() { # each line has the place and the words of its row
    exec 3<out
    while read -r place severity words; do
        IFS= read -r line <&3 || return 1
        case $line in
        "$place $severity "*"$words"*) ;;
        *) echo "# not \"$place $severity $words\": $line"; return 1 ;;
        esac
    done <places
    ! IFS= read -r line <&3
}
status=0
"$postern" check -c bad.yaml >out || status=$?
ok "errors are the exit status" [ "$status" = 1 ]
ok "each finding with its place, in the order of the file" is_in_order
ok "no pass phrase is printed" sh -c '! grep -q "demo passphrase" out'
"$postern" check -c good.yaml >out && status=0 || status=$?
ok "nothing to say of good ones" [ "$status $(cat out)" = "0 good.yaml: no errors, 0 warnings" ]
