# The node's daemons: how each is started, and how one is stopped, killed or frozen. Read by node.sh.
# shellcheck shell=sh disable=SC2154 # state, node_ip, node_name, service_cidr are node.sh's

daemons="etcd kube-apiserver containerd kube-controller-manager kube-scheduler kubelet kube-proxy"

# The command line of daemon $1, a word a line.
arguments() {
    case $1 in
        etcd)
            cat <<END
--data-dir=$state/etcd
--unsafe-no-fsync
--log-level=warn
--listen-client-urls=http://127.0.0.1:2379
--advertise-client-urls=http://127.0.0.1:2379
--listen-peer-urls=http://127.0.0.1:2380
--initial-advertise-peer-urls=http://127.0.0.1:2380
--initial-cluster=default=http://127.0.0.1:2380
END
            ;;
        kube-apiserver)
            cat <<END
--etcd-servers=http://127.0.0.1:2379
--advertise-address=$node_ip
--bind-address=$node_ip
--secure-port=6443
--cert-dir=$state/api
--service-cluster-ip-range=$service_cidr
--service-account-issuer=https://kubernetes.default.svc.cluster.local
--service-account-signing-key-file=$state/tokens.key
--service-account-key-file=$state/tokens.pub
--token-auth-file=$state/tokens.csv
--authorization-mode=Node,RBAC
--enable-admission-plugins=NodeRestriction
--kubelet-preferred-address-types=InternalIP
--allow-privileged
END
            for flag in ${PODROBIN_NODE_API_FLAGS:-}; do
                echo "$flag"
            done
            ;;
        kube-controller-manager)
            cat <<END
--kubeconfig=$state/kube-controller-manager.kubeconfig
--use-service-account-credentials
--service-account-private-key-file=$state/tokens.key
--root-ca-file=$state/api/apiserver.crt
--leader-elect=false
END
            ;;
        kube-scheduler)
            cat <<END
--kubeconfig=$state/kube-scheduler.kubeconfig
--leader-elect=false
END
            ;;
        containerd) echo "--config=$state/config/containerd.toml" ;;
        kubelet)
            cat <<END
--config=$state/config/kubelet.yaml
--kubeconfig=$state/kubelet.kubeconfig
--hostname-override=$node_name
--node-ip=$node_ip
--node-labels=topology.kubernetes.io/zone=zone-a
END
            ;;
        kube-proxy)
            cat <<END
--config=$state/config/kube-proxy.yaml
--hostname-override=$node_name
END
            ;;
        *) fail "there is no daemon $1, only $daemons" ;;
    esac
}

start() {
    set -- "$1" "$(arguments "$1")"
    old_ifs=$IFS
    IFS='
'
    # shellcheck disable=SC2086 # a word a line
    set -- "$1" $2
    IFS=$old_ifs
    daemon=$1
    shift
    rm -f "$state/pid/$daemon"
    # A daemon's pid is the one in the node's process namespace, and its parent is the first process there: a parent
    # outside that was stopped or killed would keep the whole namespace from ending.
    # shellcheck disable=SC2016 # for the inner shell
    enter env PATH="$state/bin:/usr/sbin:/usr/bin:/sbin:/bin" setsid --fork sh -c 'echo $$ >"$1"; shift; exec "$@"' - \
        "$state/pid/$daemon" "$state/bin/$daemon" "$@" </dev/null >>"$state/log/$daemon" 2>&1
    until_true 5 "$daemon to start" test -s "$state/pid/$daemon"
}

running() {
    [ -s "$state/pid/$1" ] && enter test -e "/proc/$(cat "$state/pid/$1")/exe" 2>/dev/null &&
        [ "$(enter readlink "/proc/$(cat "$state/pid/$1")/exe")" = "$(readlink -f "$state/bin/$1")" ]
}

signal() {
    running "$2" || fail "$2 does not run"
    enter kill "-$1" "$(cat "$state/pid/$2")"
}

ended() {
    ! running "$1"
}

daemon() {
    init_pid >/dev/null || fail "is not up: run $0 up"
    [ $# = 2 ] || fail "daemon start|stop|kill|freeze|thaw|log NAME"
    case $1 in
        start) running "$2" || start "$2" ;;
        stop | kill)
            if [ "$1" = stop ]; then signal TERM "$2"; else signal KILL "$2"; fi
            until_true 60 "$2 to end" ended "$2"
            ;;
        freeze) signal STOP "$2" ;;
        thaw) signal CONT "$2" ;;
        log) cat "$state/log/$2" ;;
        *) fail "daemon start|stop|kill|freeze|thaw|log NAME" ;;
    esac
}
