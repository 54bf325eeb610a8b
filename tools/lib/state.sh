# What a development node needs to start: an authority of its own, a certificate for this machine's loopback, and a key
# that signs join tokens. Sourced by bash after common.sh.

# make_certificates FOLDER: ca.pem, tls-cert.pem and tls-key.pem. The authority's own key is thrown away.
make_certificates() {
  local folder="$1" work
  work="$(mktemp -d)"
  (
    trap 'rm -rf "$work"' EXIT
    umask 077
    cat >"$work/openssl.cnf" <<'CONFIG'
[req]
distinguished_name = name
prompt = no
[name]
CN = Earshot development
[authority]
basicConstraints = critical, CA:TRUE, pathlen:0
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[node]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = IP:127.0.0.1, IP:::1, DNS:localhost
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
CONFIG
    openssl req -x509 -config "$work/openssl.cnf" -extensions authority -subj "/CN=Earshot development authority" -days 825 \
      -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$work/ca-key.pem" -out "$work/ca.pem" &&
      openssl req -config "$work/openssl.cnf" -subj "/CN=localhost" \
        -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$work/tls-key.pem" -out "$work/tls.csr" &&
      openssl x509 -req -in "$work/tls.csr" -CA "$work/ca.pem" -CAkey "$work/ca-key.pem" -CAcreateserial -days 825 \
        -extfile "$work/openssl.cnf" -extensions node -out "$work/tls-cert.pem" &&
      mv "$work/ca.pem" "$work/tls-cert.pem" "$work/tls-key.pem" "$folder/"
  ) 2>"$folder/openssl.log" || {
    cat "$folder/openssl.log" >&2
    die "could not make the certificates in $folder"
  }
  rm -f "$folder/openssl.log"
  chmod 644 "$folder/ca.pem" "$folder/tls-cert.pem"
}

# make_state FOLDER: makes what is missing and keeps what is there.
make_state() {
  local folder="$1" name
  mkdir -p "$folder"
  for name in ca.pem tls-cert.pem tls-key.pem; do
    [ -s "$folder/$name" ] || { make_certificates "$folder"; break; }
  done
  if [ ! -s "$folder/token.key" ]; then
    (umask 077 && openssl rand -base64 32 | tr '+/' '-_' | tr -d '=\n' >"$folder/token.key")
  fi
}
