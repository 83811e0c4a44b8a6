#!/bin/sh
# A real Kubernetes node on this machine, without Docker and without touching the machine: see README.md.
#
#   node.sh up                    starts it, or what of it does not run; returns when the node is Ready and DNS answers
#   node.sh down                  ends it, and removes all it made
#   node.sh kubectl ARGUMENT...   kubectl as administrator
#   node.sh exec COMMAND...       a command in the node's network, with KUBECONFIG set and helm, kubectl, ctr in PATH
#   node.sh enter COMMAND...      the same in all of the node's namespaces: what a shell on the node would see
#   node.sh images [BINARIES]     makes and imports podrobin's and the shop's, from this checkout or a folder of binaries
#   node.sh load ARCHIVE...       imports images from OCI or Docker archives
#   node.sh daemon start|stop|kill|freeze|thaw|log NAME     one of its daemons, to see what its loss does
#   node.sh status                which daemons run
#
# Settings, by environment:
#   PODROBIN_NODE               its folder (/var/lib/podrobin-node); nodes with folders of their own can run at once
#   PODROBIN_NODE_PROXY         mode of kube-proxy: nftables (the default) or iptables
#   PODROBIN_NODE_API_FLAGS     further flags for kube-apiserver
set -eu

here=$(cd "$(dirname "$0")" && pwd)
state=${PODROBIN_NODE:-/var/lib/podrobin-node}
name=$(basename "$state")
cgroups=/sys/fs/cgroup
# Inside namespaces of the node's own, so they are in nobody's way.
node_ip=10.200.0.1
node_name=node
service_cidr=10.96.0.0/16
dns_ip=10.96.0.10
# shellcheck source=tests/cluster/node/daemons.sh
. "$here/daemons.sh"

fail() {
    echo "node: $*" >&2
    exit 1
}

# What is missing, all of it at once, and how to get it.
require() {
    missing='' packages=''
    for pair in ip:iproute2 unshare:util-linux nsenter:util-linux flock:util-linux nft:nftables iptables:iptables \
        conntrack:conntrack runc:runc openssl:openssl tar:tar sha256sum:coreutils busybox:busybox-static; do
        command -v "${pair%%:*}" >/dev/null || missing="$missing ${pair%%:*}" packages="$packages ${pair##*:}"
    done
    [ -x "$(cni_folder)/bridge" ] || missing="$missing CNI-plugins" packages="$packages containernetworking-plugins"
    [ -z "$missing" ] || fail "missing:$missing. On Debian: apt-get install$packages"
    grep -qw overlay /proc/filesystems || fail "the kernel has no overlayfs: modprobe overlay"
    [ "$(uname -s)" = Linux ] || fail "needs Linux"
}

cni_folder() {
    for folder in /usr/lib/cni /opt/cni/bin /usr/libexec/cni; do
        [ ! -x "$folder/bridge" ] || break
    done
    echo "$folder"
}

# The first process of the node's namespaces, if it is still the one that was started.
init_pid() {
    pid=$(cat "$state/init.pid" 2>/dev/null) || return 1
    [ "$(readlink "/proc/$pid/ns/net" 2>/dev/null)" = "$(cat "$state/init.net")" ] || return 1
    echo "$pid"
}

enter() {
    nsenter --target "$(init_pid)" --net --mount --pid --uts --ipc -- "$@"
}

in_network() {
    pid=$(init_pid) || fail "is not up: run $0 up"
    KUBECONFIG=$state/admin.kubeconfig PATH="$state/bin:$PATH" exec nsenter --target "$pid" --net -- "$@"
}

kubectl() {
    (in_network "$state/bin/kubectl" "$@")
}

# until_true SECONDS WHAT COMMAND...
until_true() {
    deadline=$(($(date +%s) + $1)) what=$2
    shift 2
    until "$@" >"$state/wait.log" 2>&1; do
        if [ "$(date +%s)" -gt "$deadline" ]; then
            cat "$state/wait.log" >&2
            fail "waited too long for $what; logs are in $state/log"
        fi
        sleep 0.2
    done
}

prepare() {
    binaries=$("$here/../build.sh" control-plane node chart | tail -n 1)
    [ -x "$binaries/ctr" ] || fail "the binaries were not built"
    mkdir -p "$state"
    chmod 700 "$state"
    (cd "$state" && mkdir -p log pid run var-log kubelet cni config etcd api containerd sysctl)
    ln -sfn "$binaries" "$state/bin"
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$state/tokens.key" 2>/dev/null
    openssl pkey -in "$state/tokens.key" -pubout -out "$state/tokens.pub"
    : >"$state/tokens.csv"
    kubeconfig admin admin system:masters
    kubeconfig kubelet "system:node:$node_name" system:nodes
    kubeconfig kube-proxy system:kube-proxy system:node-proxier
    kubeconfig kube-scheduler system:kube-scheduler system:authenticated
    kubeconfig kube-controller-manager system:kube-controller-manager system:authenticated
    for file in "$here"/config/*; do
        sed -e "s|@STATE@|$state|g; s|@NAME@|$name|g; s|@NODE_IP@|$node_ip|g; s|@DNS_IP@|$dns_ip|g" \
            -e "s|@CNI@|$(cni_folder)|g; s|@PROXY@|${PODROBIN_NODE_PROXY:-nftables}|g" \
            "$file" >"$state/config/$(basename "$file")"
    done
    mkdir -p "$state/config/cni"
    mv "$state/config/10-bridge.conflist" "$state/config/cni/"
    : >"$state/config/resolv.conf"
}

# kubeconfig FILE USER GROUP: a user with a token of its own.
kubeconfig() {
    token=$(openssl rand -hex 16)
    echo "$token,$2,$2,\"$3\"" >>"$state/tokens.csv"
    cat >"$state/$1.kubeconfig" <<END
{"apiVersion": "v1", "kind": "Config", "current-context": "node",
 "contexts": [{"name": "node", "context": {"cluster": "node", "user": "$1"}}],
 "clusters": [{"name": "node", "cluster":
   {"server": "https://$node_ip:6443", "certificate-authority": "$state/api/apiserver.crt"}}],
 "users": [{"name": "$1", "user": {"token": "$token"}}]}
END
}

start_namespaces() {
    rm -f "$state/ready"
    setsid unshare --net --mount --pid --uts --ipc --fork --mount-proc \
        "$here/inside.sh" "$state" "$node_ip" "$node_name" "$service_cidr" </dev/null >"$state/log/init" 2>&1 &
    children=/proc/$!/task/$!/children
    until_true 10 "the node's first process" grep -q . "$children"
    pid=$(tr -d ' ' <"$children")
    readlink "/proc/$pid/ns/net" >"$state/init.net"
    echo "$pid" >"$state/init.pid"
    until_true 10 "the node's namespaces" test -e "$state/ready"
}

# The kubelet takes its root group as it finds it, in every hierarchy.
make_cgroups() {
    for folder in $(cgroup_roots); do
        mkdir -p "$folder/$name"
        if [ -e "$folder/cpuset.cpus" ]; then
            cat "$folder/cpuset.cpus" >"$folder/$name/cpuset.cpus"
            cat "$folder/cpuset.mems" >"$folder/$name/cpuset.mems"
        fi
    done
}

# Version 2 is one hierarchy; version 1 has a folder for each controller, some of them links.
cgroup_roots() {
    if [ -e "$cgroups/cgroup.controllers" ]; then
        echo "$cgroups"
    else
        find "$cgroups" -mindepth 1 -maxdepth 1 -type d
    fi
}

up() {
    mkdir -p "$(dirname "$state")"
    exec 9>"$state.lock"
    flock 9
    if ! init_pid >/dev/null; then
        clear_away
        require
        prepare
        make_cgroups
        start_namespaces 9>&-
    fi
    for daemon in $daemons; do
        # The controller manager gives up after 10 s without an API server.
        [ "$daemon" != kube-controller-manager ] || until_true 60 "the API server" kubectl get --raw /readyz
        running "$daemon" || start "$daemon" 9>&-
    done
    until_true 30 containerd enter "$state/bin/ctr" version
    "$here/images.sh" "$state" >"$state/log/images" 2>&1 || fail "images were not made: see $state/log/images"
    until_true 60 "the node to register" kubectl get node "$node_name"
    until_true 10 "DNS's objects" kubectl apply -f "$state/config/coredns.yaml"
    kubectl wait --for=condition=Ready "node/$node_name" --timeout=60s >&2
    until_true 60 "a ServiceAccount for pods" kubectl -n default get serviceaccount default
    kubectl -n kube-system rollout status deployment/coredns --timeout=90s >&2
    echo "The node is up: $0 kubectl get nodes" >&2
}

down() {
    exec 9>"$state.lock"
    flock 9
    clear_away
    rm -f "$state.lock"
}

# Ends what an earlier `up` has started, and removes its folder and control groups.
clear_away() {
    if pid=$(init_pid); then
        kill -KILL "$pid" # and with it all that is in its process namespace
        until_true 20 "the node's processes to end" sh -c "! test -e /proc/$pid"
    fi
    for folder in $(cgroup_roots); do
        [ -d "$folder/$name" ] || continue
        # The deepest first. A group is busy for a moment after its last process has ended.
        for _ in 1 2 3 4 5; do
            find "$folder/$name" -depth -type d -exec rmdir {} + 2>/dev/null && break
            sleep 0.2
        done
        [ ! -d "$folder/$name" ] || fail "control group $folder/$name is still in use"
    done
    rm -rf --one-file-system "$state"
}

command=${1:-help}
[ $# = 0 ] || shift
case $command in
    help) sed -n '2,/^set -eu/{/^set -eu/d; s/^# \{0,1\}//; p}' "$0" && exit ;;
esac
[ "$(id -u)" = 0 ] || fail "needs root: it mounts, makes control groups and runs containers. Run it with sudo."
case $command in
    up | down) "$command" ;;
    kubectl) in_network "$state/bin/kubectl" "$@" ;;
    exec) in_network "$@" ;;
    enter)
        init_pid >/dev/null || fail "is not up: run $0 up"
        export KUBECONFIG="$state/admin.kubeconfig" PATH="$state/bin:$PATH"
        enter "$@"
        ;;
    images)
        init_pid >/dev/null || fail "is not up: run $0 up"
        "$here/images.sh" "$state" podrobin "$@"
        ;;
    load)
        init_pid >/dev/null || fail "is not up: run $0 up"
        for archive in "$@"; do
            enter "$state/bin/ctr" --namespace k8s.io images import --local - <"$archive"
        done
        ;;
    daemon) daemon "$@" ;;
    status)
        init_pid >/dev/null || fail "is not up: run $0 up"
        for daemon in $daemons; do
            if running "$daemon"; then echo "$daemon runs"; else echo "$daemon does not run"; fi
        done
        ;;
    *) fail "there is no command $command: see $0 help" ;;
esac
