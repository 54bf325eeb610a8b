#!/usr/bin/env bash
# The state folder of a development node: made once, kept, and renewed where it does not fit.
source "$(dirname "${BASH_SOURCE[0]}")/../../tools/lib/common.sh"
source "$EARSHOT_ROOT/tools/lib/state.sh"

make_temporary folder -d
state="$folder/a state"

check() {
  local what="$1"
  shift
  "$@" || die "failed: $what"
}
checksums() { (cd "$state" && sha256sum ca.pem ca-key.pem tls-cert.pem tls-key.pem token.key api-key api-keys.toml relay.toml); }
mode() { stat -c %a "$state/$1"; }
# changed: the files that differ from `before`, in one line.
changed() { diff <(printf '%s\n' "$before") <(checksums) | sed -n 's/^> [0-9a-f]*  //p' | paste -sd' ' || true; }
verifies() { openssl verify -CAfile "$state/ca.pem" "$1" "$2" "$state/tls-cert.pem" >/dev/null 2>&1; }
hash_of_key() { tr -d '\n' <"$state/api-key" | sha256sum | cut -d' ' -f1; }
entries() { grep -c '^\[\[keys\]\]$' "$state/api-keys.toml"; }
make_state "$state"
before="$(checksums)"
for file in ca-key.pem tls-key.pem token.key api-key api-keys.toml; do check "$file is private" [ "$(mode "$file")" = 600 ]; done
for address in 127.0.0.1 ::1; do check "the certificate is for $address" verifies -verify_ip "$address"; done
check "the certificate is for localhost" verifies -verify_hostname localhost
if verifies -verify_hostname example.org; then die "failed: the certificate is for no other name"; fi
check "the token key has 32 bytes" [ "$(tr -- '-_' '+/' <"$state/token.key" | sed 's/$/=/' | base64 -d | wc -c)" -eq 32 ]
check "the node knows the API key by its hash" grep -q "$(hash_of_key)" "$state/api-keys.toml"
check "the keys' file has no key" [ "$(grep -c -f "$state/api-key" "$state/api-keys.toml")" -eq 0 ]

make_state "$state"
check "a second start changes nothing, but: $(changed)" [ -z "$(changed)" ]

chmod 644 "$state/token.key" "$state/tls-key.pem"
echo '# mine' >>"$state/relay.toml"
before="$(checksums)"
make_state "$state"
check "nothing is made anew for its mode" [ -z "$(changed)" ]
check "the keys are private again" [ "$(mode token.key)$(mode tls-key.pem)" = 600600 ]

rm "$state/api-key"
make_state "$state"
check "a new API key is known, and the old entry stays" grep -q "$(hash_of_key)" "$state/api-keys.toml"
check "two entries" [ "$(entries)" -eq 2 ]

# sign_certificate DAYS NAMES: as somebody else might have left it there.
sign_certificate() {
  openssl req -new -key "$state/tls-key.pem" -subj /CN=other |
    openssl x509 -req -CA "$state/ca.pem" -CAkey "$state/ca-key.pem" -set_serial 7 -days "$1" \
      -extfile <(printf 'subjectAltName = %s\n' "$2") -out "$state/tls-cert.pem" 2>/dev/null
}
renews_certificate() {
  before="$(checksums)"
  make_state "$state"
  check "$1" [ "$(changed)" = "tls-cert.pem tls-key.pem" ]
  check "$1, and verifies" verifies -verify_ip ::1
}
sign_certificate 0 "$STATE_NAMES"
renews_certificate "an expired certificate is renewed"
sign_certificate 90 "IP:127.0.0.1,DNS:localhost"
renews_certificate "a certificate without all names is renewed"
openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$state/tls-key.pem"
renews_certificate "a certificate for another key is renewed"
: >"$state/tls-cert.pem"
renews_certificate "an empty certificate is renewed"

renews_all() {
  before="$(checksums 2>/dev/null || true)"
  make_state "$state"
  check "$1, not only: $(changed)" [ "$(changed)" = "ca.pem ca-key.pem tls-cert.pem tls-key.pem" ]
  check "$1, and verifies" verifies -verify_ip 127.0.0.1
}
rm "$state/ca.pem"
renews_all "without an authority there is a new one"
openssl req -new -key "$state/ca-key.pem" -subj "/CN=Earshot development CA" |
  openssl x509 -req -signkey "$state/ca-key.pem" -days 0 -extfile <(echo "basicConstraints = critical, CA:true") \
    -out "$state/ca.pem" 2>/dev/null
renews_all "an expired authority is replaced"
rm "$state/tls-key.pem"
openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$state/ca-key.pem"
renews_all "an authority without its key is replaced when it has to sign"
check "nothing half-made is left" [ -z "$(find "$state" -name '*.new')" ]

# What cannot be made is one sentence and status 1.
: >"$folder/file"
for place in "$folder/file" "$folder/file/below" /proc/nowhere; do
  status=0
  sentence="$( (make_state "$place") 2>&1)" || status=$?
  check "no state in $place" [ "$status" -eq 1 ]
  check "one sentence, not: $sentence" [ "$(wc -l <<<"$sentence")" -eq 1 ]
done
