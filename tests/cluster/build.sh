#!/bin/sh
# Builds the control plane that the cluster tests run: etcd, kube-apiserver and kube-controller-manager, from Go modules.
#
# Usage: tests/cluster/build.sh [FOLDER]
#
# The folder is printed on the last line. By default it lies in the user's cache, outside target/, because a cold build
# takes minutes and outlives `cargo clean`. Needs Go; nothing else is installed or changed.
set -eu

tools=$(cd "$(dirname "$0")/tools" && pwd)
version=$(sed -n 's|^.*k8s.io/kubernetes v\([0-9.]*\).*$|\1|p' "$tools/kubernetes/go.mod")
folder=${1:-${XDG_CACHE_HOME:-$HOME/.cache}/podrobin/k8s-$version}

# What was built is known by what it was built from.
stamp=$(cat "$tools"/../build.sh "$tools"/*/go.mod "$tools"/*/go.sum | cksum)
if [ "$(cat "$folder/stamp" 2>/dev/null)" = "$stamp" ]; then
    echo "$folder"
    exit 0
fi

command -v go >/dev/null || {
    echo "Building the cluster's binaries needs Go: install it, or set KUBEBUILDER_ASSETS to a folder that has them." >&2
    exit 1
}
mkdir -p "$folder"
rm -f "$folder/stamp"
export CGO_ENABLED=0

# build NAME MODULE_FOLDER PACKAGE [LINKER_FLAG...]
build() {
    name=$1 module=$2 package=$3
    shift 3
    echo "building $name" >&2
    # Moved into place, so that a run that is cut short leaves no half of a binary.
    go build -C "$tools/$module" -mod=readonly -buildvcs=false -trimpath -ldflags "-s -w $*" \
        -o "$folder/$name.new" "$package"
    mv "$folder/$name.new" "$folder/$name"
}

release="-X k8s.io/component-base/version.gitVersion=v$version"
build etcd etcd go.etcd.io/etcd/server/v3
build kube-apiserver kubernetes k8s.io/kubernetes/cmd/kube-apiserver "$release"
build kube-controller-manager kubernetes k8s.io/kubernetes/cmd/kube-controller-manager "$release"

echo "$stamp" >"$folder/stamp"
echo "$folder"
