#!/bin/sh
# Builds what the cluster tests, the node and the chart's checks run, from Go modules that are pinned in tools/.
#
# Usage: tests/cluster/build.sh [BINARY | GROUP]...
#
#   control-plane  etcd, kube-apiserver, kube-controller-manager: what `just cluster` needs, and the default
#   node           what a real node needs beside them: scheduler, kubelet, kube-proxy, kubectl, containerd, CoreDNS
#   chart          helm, kubeconform
#   lint           actionlint
#   all
#
# The folder is printed on the last line. It lies in the user's cache, outside target/, because a cold build takes
# minutes and outlives `cargo clean`. Needs Go; nothing else is installed or changed.
set -eu

tools=$(cd "$(dirname "$0")/tools" && pwd)
version=$(sed -n 's|^.*k8s.io/kubernetes v\([0-9.]*\).*$|\1|p' "$tools/kubernetes/go.mod")
folder=${PODROBIN_CLUSTER_FOLDER:-${XDG_CACHE_HOME:-$HOME/.cache}/podrobin/k8s-$version}
mkdir -p "$folder/stamps"

# build NAME MODULE_FOLDER PACKAGE [GO_FLAG...]
build() {
    name=$1 module=$2 package=$3
    shift 3
    # What was built is known by what it was built from.
    stamp=$( (echo "$package" "$@" && cat "$tools/$module"/*) | cksum)
    if [ "$(cat "$folder/stamps/$name" 2>/dev/null)" = "$stamp" ] && [ -x "$folder/$name" ]; then
        return
    fi
    command -v go >/dev/null || {
        echo "Building $name needs Go: install it from https://go.dev/dl" >&2
        exit 1
    }
    started=$(date +%s)
    # Moved into place, so that a run that is cut short leaves no half of a binary.
    CGO_ENABLED=0 go build -C "$tools/$module" -mod=readonly -buildvcs=false -trimpath "$@" \
        -o "$folder/$name.$$" "$package"
    mv "$folder/$name.$$" "$folder/$name"
    echo "$stamp" >"$folder/stamps/$name"
    echo "built $name in $(($(date +%s) - started)) s" >&2
}

kubernetes() {
    build "$1" kubernetes "k8s.io/kubernetes/cmd/$1" \
        -ldflags "-s -w -X k8s.io/component-base/version.gitVersion=v$version"
}

containerd() {
    build "$1" containerd "github.com/containerd/containerd/v2/cmd/$1" \
        -tags "no_btrfs no_zfs no_devmapper no_aufs" -ldflags "-s -w"
}

want() {
    case $1 in
        control-plane) for binary in kube-apiserver etcd kube-controller-manager; do want "$binary"; done ;;
        chart) for binary in helm kubeconform; do want "$binary"; done ;;
        node)
            for binary in kubectl kubelet kube-scheduler kube-proxy containerd containerd-shim-runc-v2 ctr coredns pause; do
                want "$binary"
            done
            ;;
        lint) want actionlint ;;
        all) for group in control-plane chart node lint; do want "$group"; done ;;
        kube-apiserver | kube-controller-manager | kube-scheduler | kube-proxy | kubelet | kubectl) kubernetes "$1" ;;
        containerd | containerd-shim-runc-v2 | ctr) containerd "$1" ;;
        etcd) build etcd etcd go.etcd.io/etcd/server/v3 -ldflags "-s -w" ;;
        coredns) build coredns coredns . -ldflags "-s -w" ;;
        pause) build pause pause . -ldflags "-s -w" ;;
        helm) build helm helm helm.sh/helm/v4/cmd/helm -ldflags "-s -w" ;;
        kubeconform) build kubeconform kubeconform github.com/yannh/kubeconform/cmd/kubeconform -ldflags "-s -w" ;;
        actionlint) build actionlint actionlint github.com/rhysd/actionlint/cmd/actionlint -ldflags "-s -w" ;;
        *)
            echo "build.sh: there is nothing called $1: see the head of this file" >&2
            exit 2
            ;;
    esac
}

[ $# -gt 0 ] || set -- control-plane
for wanted in "$@"; do
    want "$wanted"
done
echo "$folder"
