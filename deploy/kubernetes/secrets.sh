#!/bin/sh
# Prints the Secrets that Warren's manifests refer to, with fresh passwords. Once for an installation:
#
#   sh deploy/kubernetes/secrets.sh | kubectl create --namespace warren -f -
#
# `create`, not `apply`: broker and database would not hear of other passwords. `warren-gateway` signs guests' tokens and
# is not needed with WARREN_AUTH=jwt. What else there is to keep secret comes from elsewhere: docs/deploy.md.
set -eu
random() { head -c 24 /dev/urandom | od -An -v -tx1 | tr -d ' \n'; }

secret() {
    printf 'apiVersion: v1\nkind: Secret\nmetadata:\n  name: %s\nstringData:\n' "$1"
    shift
    for key; do printf '  %s: "%s"\n' "$key" "$(random)"; done
    echo ---
}

secret warren-broker operator gateway persistence presence
secret warren-store operator persistence presence
secret warren-gateway secret
