#!/bin/sh
# Makes a kind cluster and loads podrobin's images into it: deploy/kind/up.sh, then demo.sh, then down.sh.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=deploy/kind/commands.sh
. "$here/commands.sh"
need_engine
need_kind
need_kubectl

cluster=podrobin
if ! kind get clusters 2>/dev/null | grep -qx "$cluster"; then
    kind create cluster --config "$here/kind.yaml" --wait 120s
fi

archive=$(mktemp)
trap 'rm -f "$archive"' EXIT
for image in podrobin podrobin-shop; do
    "$engine" build --target "${image#podrobin-}" --tag "localhost/$image:test" "$here/../.."
    # By way of an archive, because that is the same with docker and podman.
    rm -f "$archive"
    "$engine" save --output "$archive" "localhost/$image:test"
    kind load image-archive "$archive" --name "$cluster"
done
echo "The cluster is up, as context kind-$cluster. Next: deploy/kind/demo.sh"
