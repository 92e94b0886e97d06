#!/bin/sh
# Starts RabbitMQ in a container of its official image, with Warren's users: fills their passwords, which come from
# WARREN_OPERATOR_PASSWORD and its like, into the definitions beside this file, which are the same for everybody. With
# arguments it starts those instead: `start.sh true` only fills them in, for a container that starts RabbitMQ after it.
set -eu
folder=$(dirname "$0")
filled=${WARREN_DEFINITIONS:-/var/lib/rabbitmq/warren-definitions.json} # the image makes its user own what is in there
fill=
for variable in $(grep -o 'WARREN_[A-Z_]*_PASSWORD' "$folder/definitions.json"); do
    eval "password=\${$variable:-}"
    case $password in
    '' | *[!A-Za-z0-9_-]*) echo "$variable must be set, to letters, digits, _ and - alone." >&2 && exit 1 ;;
    esac
    fill="$fill s/\\\${$variable}/$password/;"
done
umask 077
sed "$fill" "$folder/definitions.json" >"$filled"
[ $# -gt 0 ] || set -- rabbitmq-server
exec docker-entrypoint.sh "$@"
