#!/bin/sh
# Shows that the node is one, and that podrobin's image works on it: tests/cluster/node/check.sh, with the node up and
# podrobin's images on it (`just node up`, `just node images`).
#
# In an image without files the C library has no configuration for names. So: the API server is found by a name in DNS, by
# one in /etc/hosts and by one in a kubeconfig. Beside that: Services answer by name and by address, to clients that use
# glibc, musl, and glibc linked in.
set -eu
here=$(cd "$(dirname "$0")" && pwd)

kubectl() {
    "$here/node.sh" kubectl --namespace node-check "$@"
}

# expect WHAT COMMAND...: the command says `cart`, the name of the pod; a Service's rules follow within a second or two.
expect() {
    what=$1
    shift
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        said=$("$@" 2>&1 | tail -n 1) || true
        if [ "$said" = cart ]; then
            echo "ok: $what"
            return
        fi
        sleep 0.5
    done
    echo "FAILED: $what: $said" >&2
    exit 1
}

in_clients() {
    kubectl exec clients -- "$@"
}

cleanup() {
    "$here/node.sh" kubectl delete namespace node-check --ignore-not-found --wait --timeout=2m >/dev/null
}
trap cleanup EXIT

"$here/node.sh" kubectl apply -f "$here/check.yaml" >/dev/null
kubectl wait pod cart clients --for=condition=Ready --timeout=60s >/dev/null
for pod in by-dns by-hosts by-kubeconfig; do
    if kubectl wait pod "$pod" --for=condition=Ready --timeout=60s >/dev/null; then
        echo "ok: podrobin finds the API server ($pod)"
    else
        echo "FAILED: podrobin does not find the API server ($pod):" >&2
        kubectl logs "$pod" >&2
        exit 1
    fi
done

service=$(kubectl get service cart -o 'jsonpath={.spec.clusterIP}')
expect "a Service by address, from the node" "$here/node.sh" exec curl -sS --max-time 3 "http://$service/"
for name in "$service" cart cart.node-check cart.node-check.svc.cluster.local cart.node-check.svc.cluster.local.; do
    expect "curl with glibc, $name" in_clients curl -sS --max-time 3 "http://$name/"
    expect "a client with musl, $name" in_clients fetch "$name" 80
done
expect "glibc linked in, cart" in_clients sh -c 'printf "GET / HTTP/1.0\r\n\r\n" | nc -w 3 cart 80'
echo "The node is a node, and podrobin's image works on it."
