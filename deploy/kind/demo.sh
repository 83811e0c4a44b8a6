#!/bin/sh
# Shows what podrobin does, on the cluster that kubectl talks to: the same client before and after one annotation.
#
# Usage: deploy/kind/demo.sh          after deploy/kind/up.sh, or on a node of this repo's own:
#        tests/cluster/node/node.sh exec deploy/kind/demo.sh
#
# Needs the images localhost/podrobin:test and localhost/podrobin-shop:test on the nodes. PODROBIN_DEMO_INJECTION says how
# the chart injects: webhook (the default) or policy. What it makes stays: the namespaces shop and podrobin.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=deploy/kind/commands.sh
. "$here/commands.sh"
need_kubectl
need helm "https://helm.sh/docs/intro/install/"
need awk "it is part of every Linux distribution"

seconds=10
log=$(mktemp)
trap 'rm -f "$log"' EXIT

say() {
    printf '\n== %s\n' "$*"
}

in_shop() {
    kubectl --namespace shop "$@"
}

# The client's new pod runs, and the old one, whose log could be taken for it, is gone.
client_is_new() {
    in_shop rollout status deployment/client --timeout=120s >/dev/null
    while [ "$(in_shop get pods --selector=app.kubernetes.io/name=client --output=name | wc -l)" != 1 ]; do
        sleep 1
    done
}

# What the client has said so far.
lines() {
    in_shop logs deployment/client --container client >"$log"
}

# Sums the client's lines after the first $1: who answered how many, and what failed.
shares() {
    lines
    tail -n "+$(($1 + 1))" "$log" | awk '
        {
            gsub(/"/, "")
            if (match($0, /pods:{[^}]*}/)) add(substr($0, RSTART + 6, RLENGTH - 7), pods)
            if (match($0, /causes:{[^}]*}/)) add(substr($0, RSTART + 8, RLENGTH - 9), causes)
        }
        # add("cart-1:20,cart-2:21", sums)
        function add(text, sums,    parts, i, n, colon) {
            n = split(text, parts, ",")
            for (i = 1; i <= n; i++) {
                colon = match(parts[i], /:[0-9]+$/)
                if (colon) sums[substr(parts[i], 1, colon - 1)] += substr(parts[i], colon + 1)
            }
        }
        END {
            for (pod in pods) ok += pods[pod]
            for (pod in pods) printf "   %5.1f %%  %s\n", 100 * pods[pod] / ok, pod | "sort -k3"
            close("sort -k3")
            for (cause in causes) { failed += causes[cause]; printf "   failed %d times: %s\n", causes[cause], cause }
            printf "   %d requests answered, %d failed\n", ok, failed
        }'
}

spread() {
    lines
    from=$(wc -l <"$log")
    sleep "$seconds"
    shares "$from"
}

roll() {
    lines
    from=$(wc -l <"$log")
    in_shop rollout restart deployment/cart >/dev/null
    in_shop rollout status deployment/cart --timeout=180s >/dev/null
    sleep 5 # the last old pod drains
    shares "$from"
}

say "podrobin's chart"
helm upgrade --install podrobin "$here/../../charts/podrobin" --namespace podrobin --create-namespace --wait \
    --set injection.mode="${PODROBIN_DEMO_INJECTION:-webhook}" \
    --set image.repository=localhost/podrobin --set image.tag=test --set image.pullPolicy=Never >/dev/null
helm list --namespace podrobin

say "a cart of three pods, and a client with one kept-alive connection"
kubectl apply -f "$here/cart.yaml" -f "$here/client.yaml"
in_shop patch deployment client --type=json \
    --patch='[{"op": "add", "path": "/spec/template/metadata/annotations", "value": {}}]' >/dev/null
in_shop rollout status deployment/cart --timeout=120s >/dev/null
client_is_new

say "before: through kube-proxy, $seconds seconds"
spread
say "before: cart is rolled"
roll

say "one annotation: podrobin.io/service: cart:http"
in_shop patch deployment client --patch \
    '{"spec": {"template": {"metadata": {"annotations": {"podrobin.io/service": "cart:http"}}}}}'
client_is_new

say "after: through the sidecar, $seconds seconds"
spread
say "after: cart is rolled"
roll
