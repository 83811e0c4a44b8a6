#!/bin/sh
# Runs the cluster tests: tests/cluster/run.sh [ARGUMENT FOR THE TEST BINARY...]
#
# The control plane's binaries come from KUBEBUILDER_ASSETS where that is set, else from build.sh. Everything runs in a
# network and a process namespace of its own: pods get addresses there that the API server accepts, nothing leaves the
# machine, and when the tests end, however they end, the kernel ends every process with them.
#
# Needs iproute2 and util-linux, and root or the right to create user namespaces.
set -eu

if [ "${PODROBIN_CLUSTER_NAMESPACE:-}" != inside ]; then
    here=$(cd "$(dirname "$0")" && pwd)
    cd "$here/../.."
    if [ -n "${KUBEBUILDER_ASSETS:-}" ]; then
        assets=$KUBEBUILDER_ASSETS
        for binary in etcd kube-apiserver kube-controller-manager; do
            if [ ! -x "$assets/$binary" ]; then
                echo "KUBEBUILDER_ASSETS: there is no $binary in $assets: put one there (envtest's archives have no" \
                    "kube-controller-manager), or unset KUBEBUILDER_ASSETS and all are built from Go modules." >&2
                exit 1
            fi
        done
    else
        # The folder is on the last line. No pipe: it would hide that the build has failed.
        built=$("$here/build.sh")
        assets=$(echo "$built" | tail -n 1)
    fi
    cargo test --test cluster --no-run

    TMPDIR=$(mktemp -d)
    export TMPDIR PODROBIN_CLUSTER_NAMESPACE=inside PODROBIN_CLUSTER_BINARIES="$assets"
    user=
    [ "$(id -u)" = 0 ] || user=--map-root-user
    status=0
    unshare $user --net --pid --fork --kill-child "$here/run.sh" "$@" || status=$?
    if [ "$status" = 0 ]; then
        rm -rf "$TMPDIR"
    else
        rm -rf "$TMPDIR"/*/etcd
        echo "Logs of the control plane are kept in $TMPDIR" >&2
    fi
    exit "$status"
fi

# Without a handler the first process of a namespace does not hear Ctrl-C.
trap 'exit 130' INT TERM

ip link set lo up
ip addr add 10.200.0.1/32 dev lo      # what the API server calls its address; nobody connects to it
ip addr add 10.244.0.1/16 dev lo      # makes the whole range local: IPv4 pods
if [ -e /proc/sys/net/ipv6 ]; then
    ip -6 route add local fd00:244::/64 dev lo # the same for IPv6 pods
fi
cargo test --offline --test cluster -- "$@"
