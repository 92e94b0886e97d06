#!/bin/sh
# Gives docker-compose.yml its passwords and keys: writes those that .env does not have yet, and changes none.
#
#   sh deploy/env.sh && docker compose up --build --wait
set -eu
file=$(dirname "$0")/../.env
umask 077
touch "$file"
for name in OPERATOR_PASSWORD GATEWAY_PASSWORD PERSISTENCE_PASSWORD PRESENCE_PASSWORD ECHO_PASSWORD \
    MONGO_OPERATOR_PASSWORD MONGO_PERSISTENCE_PASSWORD MONGO_PRESENCE_PASSWORD GRAFANA_PASSWORD SECRET; do
    grep -q "^WARREN_$name=." "$file" && continue
    echo "WARREN_$name=$(head -c 24 /dev/urandom | od -An -v -tx1 | tr -d ' \n')" >>"$file"
done
