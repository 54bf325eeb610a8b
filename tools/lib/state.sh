# The state folder of a development node, sourced by tools/run: authority, certificate, token key,
# API key, configuration. Everything in it is made once and kept; nothing half-made is ever seen.
# shellcheck shell=bash

# What clients on this machine may call the node.
readonly STATE_NAMES="IP:127.0.0.1,IP:::1,DNS:localhost"
readonly AUTHORITY_DAYS=3650
readonly CERTIFICATE_DAYS=365

# has_ipv6_loopback: containers often have none, and a listener on ::1 would not start.
has_ipv6_loopback() { grep -qs '^00000000000000000000000000000001 ' /proc/net/if_inet6; }

# loopback PORT: a TOML list of listeners.
loopback() {
  if has_ipv6_loopback; then
    printf '["127.0.0.1:%s", "[::1]:%s"]' "$1" "$1"
  else
    printf '["127.0.0.1:%s"]' "$1"
  fi
}

# any_address PORT: a TOML string.
any_address() {
  if has_ipv6_loopback; then printf '"[::]:%s"' "$1"; else printf '"0.0.0.0:%s"' "$1"; fi
}

# make_state FOLDER: makes what is missing and renews what does not fit. Prints nothing; a sentence
# on standard error and status 1 if it cannot.
make_state() {
  local folder="$1" lock
  mkdir -p -- "$folder" 2>/dev/null || die "cannot make the state folder $folder"
  [[ -r "$folder" && -x "$folder" ]] || die "cannot read the state folder $folder"
  # Two starts at the same time make one state.
  exec {lock}<"$folder"
  flock "$lock"
  make_certificate "$folder"
  make_token_key "$folder"
  make_api_key "$folder"
  make_configuration "$folder"
  exec {lock}<&-
}

# store FILE MODE COMMAND...: what the command prints becomes the file, whole or not at all.
store() {
  local file="$1" mode="$2" error
  shift 2
  if ! error="$( (umask 077; "$@" >"$file.new") 2>&1)"; then
    rm -f -- "$file.new" 2>/dev/null || true
    die "cannot write $file${error:+: ${error##*: }}"
  fi
  chmod "$mode" -- "$file.new"
  mv -f -- "$file.new" "$file"
}

# keep_private FILE: whoever changed its mode.
keep_private() { [ "$(stat -c %a -- "$1")" = 600 ] || chmod 600 -- "$1"; }

# Both in the form BEGIN PUBLIC KEY; nothing if there is no such key.
public_key_of_private() { openssl pkey -in "$1" -pubout 2>/dev/null || true; }
public_key_of_certificate() { openssl x509 -in "$1" -noout -pubkey 2>/dev/null || true; }

new_private_key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -quiet; }

new_authority() {
  openssl req -new -x509 -key "$1" -days "$AUTHORITY_DAYS" -sha256 -config /dev/stdin <<'END'
[req]
distinguished_name = name
x509_extensions = authority
prompt = no
[name]
CN = Earshot development CA
[authority]
basicConstraints = critical, CA:true, pathlen:0
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
END
}

# new_certificate KEY AUTHORITY AUTHORITY_KEY
new_certificate() {
  openssl req -new -key "$1" -subj "/CN=Earshot development node" -sha256 |
    openssl x509 -req -CA "$2" -CAkey "$3" -set_serial "0x$(openssl rand -hex 16)" \
      -days "$CERTIFICATE_DAYS" -sha256 -extfile <(
        printf '%s\n' "basicConstraints = critical, CA:false" "keyUsage = critical, digitalSignature" \
          "extendedKeyUsage = serverAuth" "subjectAltName = $STATE_NAMES" \
          "subjectKeyIdentifier = hash" "authorityKeyIdentifier = keyid"
      )
}

# authority_fits CERTIFICATE KEY: it can sign something that is good for another day.
authority_fits() {
  [ -s "$1" ] && [ -s "$2" ] && openssl x509 -in "$1" -noout -checkend 86400 >/dev/null 2>&1 &&
    [ "$(public_key_of_certificate "$1")" = "$(public_key_of_private "$2")" ]
}

# certificate_fits CERTIFICATE KEY AUTHORITY: the authority stands behind it today and tomorrow, it
# belongs to the key, and it has the names that clients connect to.
certificate_fits() {
  local key contents
  [[ -s "$1" && -s "$2" && -s "$3" ]] || return 1
  openssl verify -attime "$(($(date +%s) + 86400))" -CAfile "$3" "$1" >/dev/null 2>&1 || return 1
  key="$(public_key_of_private "$2")"
  contents="$(openssl x509 -in "$1" -noout -pubkey -ext subjectAltName 2>/dev/null)" || return 1
  [[ -n "$key" && "$contents" == "$key"$'\n'* ]] &&
    [[ "${contents//[[:space:]]/}" == *"AlternativeName:IPAddress:127.0.0.1,IPAddress:0:0:0:0:0:0:0:1,DNS:localhost" ]]
}

# Every call of openssl costs a start some milliseconds: the authority is looked at only when the
# certificate does not fit.
make_certificate() {
  local certificate="$1/tls-cert.pem" key="$1/tls-key.pem" authority="$1/ca.pem" authority_key="$1/ca-key.pem"
  if ! certificate_fits "$certificate" "$key" "$authority"; then
    if ! authority_fits "$authority" "$authority_key"; then
      store "$authority_key" 600 new_private_key
      store "$authority" 644 new_authority "$authority_key"
    fi
    store "$key" 600 new_private_key
    store "$certificate" 644 new_certificate "$key" "$authority" "$authority_key"
  fi
  keep_private "$key"
  [ ! -e "$authority_key" ] || keep_private "$authority_key"
}

# 32 random bytes as one line of base64url.
new_key() { openssl rand -base64 32 | tr '+/' '-_' | tr -d '=\n' && printf '\n'; }

make_token_key() {
  local key="$1/token.key"
  if [ -s "$key" ]; then
    keep_private "$key"
  else
    store "$key" 600 new_key
  fi
}

# with_api_key FILE NAME HASH: the file's entries, and one more.
with_api_key() {
  if [ -s "$1" ]; then
    cat -- "$1"
    printf '\n'
  else
    printf '# Keys that open the HTTP API of the node, by their hashes; earshot key adds more.\n\n'
  fi
  printf '[[keys]]\nname = "%s"\nscopes = ["read", "admin"]\nsha256 = "%s"\n' "$2" "$3"
}

# The development key, and its hash among the keys that the node knows.
make_api_key() {
  local key="$1/api-key" keys="$1/api-keys.toml" hash name=dev
  if [ -s "$key" ]; then
    keep_private "$key"
  else
    store "$key" 600 new_key
  fi
  hash="$(tr -d '\n' <"$key" | sha256sum)"
  hash="${hash%% *}"
  ! grep -qs -- "$hash" "$keys" || return 0
  ! grep -qs '^name = "dev"$' "$keys" || name="dev-${hash:0:8}"
  store "$keys" 600 with_api_key "$keys" "$name" "$hash"
}

new_configuration() {
  cat <<END
# Configuration of a development node, made by tools/run, and yours to change: it is made only when
# it is missing. Files are relative to this one.

[gateway]
listen = $(loopback 8443)
tls_cert = "tls-cert.pem"
tls_key = "tls-key.pem"
# On loopback all clients share an address.
unidentified_per_address_max = 4096

[media]
listen = $(any_address 8444)
loopback_only = true

[admin]
listen = $(loopback 8445)
keys_file = "api-keys.toml"

[[tokens.keys]]
id = "dev"
alg = "HS256"
file = "token.key"
END
}

make_configuration() {
  [ -s "$1/relay.toml" ] || store "$1/relay.toml" 644 new_configuration
}
