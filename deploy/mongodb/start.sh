#!/bin/sh
# Starts mongod in a container of its official image as the only member of a replica set, with access control.
set -eu
key=${WARREN_KEY_FILE:-/data/configdb/warren.key} # the image makes its user own what is in there
# Members of a set prove themselves to each other by a key. This one is alone, so nobody else needs to know it.
rm -f "$key"
umask 377
head -c 96 /dev/urandom | base64 -w 0 >"$key"
umask 022
exec docker-entrypoint.sh mongod --replSet warren --bind_ip_all --keyFile "$key"
