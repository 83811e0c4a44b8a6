#!/usr/bin/env bash
# Makes JSON schemas of the kinds that the chart has, from a real API server's OpenAPI, for kubeconform.
#
# Usage: charts/schemas.sh
#
# The folder is printed on the last line. It lies in the user's cache beside the binaries, and is made once for each
# release of Kubernetes: an API server is run for some seconds in namespaces of its own. Needs curl, Python, util-linux
# and iproute2, and root or the right to create user namespaces.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

if [ "${PODROBIN_SCHEMAS:-}" != inside ]; then
    binaries=$("$here/../tests/cluster/build.sh" etcd kube-apiserver | tail -n 1)
    folder=$binaries/schemas
    if [ ! "$folder/made" -nt "$binaries/kube-apiserver" ] || [ ! "$folder/made" -nt "$here/schemas.py" ]; then
        work=$(mktemp -d)
        trap 'rm -rf "$work"' EXIT
        user=
        [ "$(id -u)" = 0 ] || user=--map-root-user
        PODROBIN_SCHEMAS=inside unshare $user --net --pid --fork --kill-child "$0" "$binaries" "$work" >&2 || {
            tail -n 20 "$work"/*.log >&2
            exit 1
        }
        rm -rf "$folder"
        "$here/schemas.py" "$work/openapi.json" "$folder"
        touch "$folder/made"
    fi
    echo "$folder"
    exit 0
fi

binaries=$1 work=$2
ip link set lo up
ip addr add 10.200.0.1/32 dev lo # what the API server calls its address; nobody connects to it
"$binaries/etcd" --data-dir="$work/etcd" --unsafe-no-fsync --log-level=warn >"$work/etcd.log" 2>&1 &
python3 - "$work" <<'END'
import secrets, sys
open(sys.argv[1] + "/tokens.csv", "w").write(secrets.token_hex() + ",reader,reader,system:masters\n")
END
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$work/key" 2>/dev/null
openssl pkey -in "$work/key" -pubout -out "$work/public"
"$binaries/kube-apiserver" --etcd-servers=http://127.0.0.1:2379 --bind-address=127.0.0.1 \
    --advertise-address=10.200.0.1 --endpoint-reconciler-type=none --cert-dir="$work/api" \
    --service-account-issuer=https://schemas.podrobin.invalid --service-account-signing-key-file="$work/key" \
    --service-account-key-file="$work/public" --service-cluster-ip-range=10.96.0.0/16 --token-auth-file="$work/tokens.csv" >"$work/api.log" 2>&1 &
for _ in $(seq 300); do
    token=$(cut -d, -f1 "$work/tokens.csv")
    # The certificate was made a moment ago, for this server alone.
    if curl --silent --fail --insecure --header "Authorization: Bearer $token" --output "$work/openapi.json" \
        https://127.0.0.1:6443/openapi/v2; then
        exit 0
    fi
    sleep 0.2
done
echo "the API server does not tell its OpenAPI" >&2
exit 1
