#!/bin/sh
# The first process of the node's namespaces: makes them a node's, and then only holds them. Run by node.sh.
set -eu
state=$1 node_ip=$2 node_name=$3 service_cidr=$4

hostname "$node_name"

# Mounts of pods are to be seen by all daemons, and nothing of them outside: unshare has made all mounts private.
mount --make-rshared /
mount --bind "$state/run" /run
mount --bind "$state/var-log" /var/log
for folder in kubelet cni; do
    mkdir -p "/var/lib/$folder"
    mount --bind "$state/$folder" "/var/lib/$folder"
done

# The kubelet insists on its values for these, and they are the whole machine's: it gets files of its own to set.
for setting in vm/overcommit_memory vm/panic_on_oom kernel/panic kernel/panic_on_oops kernel/keys/root_maxkeys \
    kernel/keys/root_maxbytes; do
    copy=$state/sysctl/$(basename "$setting")
    cat "/proc/sys/$setting" >"$copy"
    mount --bind "$copy" "/proc/sys/$setting"
done

# No way out: pods, the node, and Services, whose addresses are rewritten on their way to the loopback device.
ip link set lo up
ip address add "$node_ip/32" dev lo
ip route add "$service_cidr" dev lo src "$node_ip"
echo 1 >/proc/sys/net/ipv4/ip_forward
# Pods on one bridge reach each other by a Service's address: the answers have to pass kube-proxy's rules, too.
for setting in /proc/sys/net/bridge/bridge-nf-call-iptables /proc/sys/net/bridge/bridge-nf-call-ip6tables; do
    [ ! -e "$setting" ] || echo 1 >"$setting"
done

touch "$state/ready"
exec "$state/bin/pause"
