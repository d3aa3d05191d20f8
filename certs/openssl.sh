#!/bin/sh
# Makes an authority and a serving certificate for lockwarden with OpenSSL (1.1.1 or later): ca.crt, tls.crt and tls.key.
#
#   certs/openssl.sh [DIRECTORY [HOST...]]
#
# DIRECTORY is certs/local (which git ignores) unless given. HOSTs are DNS names or IPv4 addresses; without any, the names of
# the Service `lockwarden` in `lockwarden-system`. DAYS (30) and CA_DAYS (365) in the environment say how long they last.
# The key of the authority is thrown away: nothing else can ever be signed with it. To renew, run it again: lockwarden
# has API servers trust the new authority first, and the old one until every replica has moved.
set -eu
umask 077

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
directory=${1:-$here/local}
if [ $# -gt 0 ]; then shift; fi
if [ $# -eq 0 ]; then
  set -- lockwarden.lockwarden-system.svc lockwarden.lockwarden-system.svc.cluster.local
fi

names=
for host in "$@"; do
  case $host in
    *[!0-9.]*) kind=DNS ;;
    *) kind=IP ;;
  esac
  names="${names:+$names,}$kind:$host"
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
mkdir -p "$directory"

# A name of its own for each authority, so that two of them in one bundle can be told apart.
cat >"$work/ca.cnf" <<CONFIG
[req]
prompt = no
distinguished_name = name
x509_extensions = authority
[name]
CN = lockwarden $(date -u +%Y-%m-%d) $(openssl rand -hex 4)
[authority]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign
subjectKeyIdentifier = hash
CONFIG

cat >"$work/leaf.cnf" <<CONFIG
[req]
prompt = no
distinguished_name = name
[name]
CN = lockwarden-webhook
[leaf]
basicConstraints = critical, CA:false
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = $names
CONFIG

new_key() {
  openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1"
}

new_key "$work/ca.key"
openssl req -x509 -new -config "$work/ca.cnf" -key "$work/ca.key" -sha256 -days "${CA_DAYS:-365}" -out "$work/ca.crt"

new_key "$work/tls.key"
openssl req -new -config "$work/leaf.cnf" -key "$work/tls.key" -out "$work/tls.csr"
openssl x509 -req -in "$work/tls.csr" -CA "$work/ca.crt" -CAkey "$work/ca.key" -set_serial "0x$(openssl rand -hex 15)" \
  -sha256 -days "${DAYS:-30}" -extfile "$work/leaf.cnf" -extensions leaf -out "$work/tls.crt" 2>"$work/log" ||
  { cat "$work/log" >&2; exit 1; }

openssl verify -CAfile "$work/ca.crt" -purpose sslserver "$work/tls.crt" >/dev/null
for file in ca.crt tls.crt tls.key; do
  mv "$work/$file" "$directory/$file"
done
echo "wrote ca.crt, tls.crt and tls.key to $directory"
