#!/usr/bin/env bash
# The chart on a real node: install, test, upgrade, rollback, uninstall, in each mode; and nothing is left.
#
# Usage: tests/cluster/node/chart.sh [webhook | policy | narrow | renewal | readme]...
#
# The node is up and has the images localhost/podrobin:test and localhost/podrobin-shop:test (`node.sh up`, `node.sh images`).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
chart=$here/../../../charts/podrobin
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0

kubectl() { "$here/node.sh" kubectl "$@"; }
helm() {
    "$here/node.sh" exec env HELM_CACHE_HOME="$work" HELM_CONFIG_HOME="$work" HELM_DATA_HOME="$work" \
        helm --namespace podrobin "$@"
}

images=(
    --set image.repository=localhost/podrobin --set image.tag=test --set image.pullPolicy=Never
    --set test.image.repository=localhost/podrobin-shop --set test.image.tag=test --set test.image.pullPolicy=Never
)

pass() {
    passed=$((passed + 1))
    echo "ok   $*"
}
fail() {
    echo "FAIL $*" >&2
    kubectl --namespace podrobin get pods >&2 || true
    kubectl --namespace podrobin get events --sort-by .lastTimestamp 2>&1 | tail -n 20 >&2
    exit 1
}

# Every object of every kind that can be listed, but for what comes and goes by itself.
objects() {
    for kind in $(kubectl api-resources --verbs=list --output name); do
        case $kind in
            events* | leases* | endpoints | componentstatuses | *.metrics.k8s.io | ipaddresses*) continue ;;
        esac
        kubectl get "$kind" --all-namespaces --ignore-not-found --no-headers \
            --output "custom-columns=NAMESPACE:.metadata.namespace,NAME:.metadata.name" 2>/dev/null | sed "s|^|$kind |"
    done | sort
}

# until_so SECONDS WHAT COMMAND...
until_so() {
    local end=$(($(date +%s) + $1)) what=$2
    shift 2
    until "$@" >"$work/standing" 2>&1; do
        [ "$(date +%s)" -lt "$end" ] || fail "$what: $(cat "$work/standing")"
        sleep 0.3
    done
}

# A pod that asks for a sidecar, as the API server would make it.
pod() {
    kubectl --namespace default create --dry-run=server --output json --filename - <<'END' | tr -d ' \n'
{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "asks", "annotations": {"podrobin.io/service": "cart"}},
"spec": {"containers": [{"name": "app", "image": "app"}]}}
END
}
injected() { pod | grep -q '"name":"podrobin"'; }
requests() { pod | grep -q "\"cpu\":\"$1\""; }
not_injected() { ! injected; }

certificate() {
    kubectl --namespace podrobin get secret podrobin-webhook-tls --output 'jsonpath={.data}' | cksum
    kubectl get mutatingwebhookconfiguration podrobin-webhook --output 'jsonpath={.webhooks[0].clientConfig.caBundle}' | cksum
}

gone() {
    diff "$work/before" <(objects)
}

cycle() {
    local mode=$1
    shift
    helm install podrobin "$chart" --wait --timeout 2m "${images[@]}" --set injection.mode="$mode" "$@" >"$work/notes" ||
        fail "$mode: install"
    grep -q "Next, " "$work/notes" || fail "$mode: the notes name no next step"
    until_so 30 "$mode: a pod is injected" injected
    pass "$mode: installed, and a pod that asks gets its sidecar"

    helm test podrobin --logs --timeout 2m >"$work/test" 2>&1 || fail "$mode: helm test: $(cat "$work/test")"
    pass "$mode: helm test: $(grep -o '"pods":{[^}]*}' "$work/test" | tail -n 1)"

    local before=
    [ "$mode" = policy ] || before=$(certificate)
    helm upgrade podrobin "$chart" --wait --timeout 2m "${images[@]}" --set injection.mode="$mode" "$@" \
        --set sidecar.resources.requests.cpu=70m --set webhook.logLevel=debug >/dev/null || fail "$mode: upgrade"
    until_so 30 "$mode: the upgrade's CPU request is in new pods" requests 70m
    [ "$mode" = policy ] || [ "$(certificate)" = "$before" ] || fail "$mode: upgrade made another certificate"
    pass "$mode: upgraded; new pods have the new request${before:+, the certificate is the same}"

    helm rollback podrobin 1 --wait --timeout 2m >/dev/null || fail "$mode: rollback"
    until_so 30 "$mode: the rollback's CPU request is in new pods" requests 50m
    [ "$mode" = policy ] || [ "$(certificate)" = "$before" ] || fail "$mode: rollback made another certificate"
    pass "$mode: rolled back; new pods have the old request${before:+, the certificate is the same}"

    helm uninstall podrobin --wait --timeout 2m >/dev/null || fail "$mode: uninstall"
    until_so 60 "$mode: nothing is left" gone
    until_so 30 "$mode: a pod is not injected any more" not_injected
    pass "$mode: uninstalled; all $(wc -l <"$work/before") objects are what they were"
}

# All that can be narrowed: one namespace that opts in, its rights alone, a certificate of the user's, nothing let pass.
narrow() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=podrobin \
        -addext subjectAltName=DNS:podrobin-webhook.podrobin.svc \
        -keyout "$work/tls.key" -out "$work/tls.crt" 2>/dev/null
    kubectl --namespace podrobin create secret tls mine --cert="$work/tls.crt" --key="$work/tls.key" >/dev/null
    kubectl label namespace podrobin podrobin.io/injection=enabled >/dev/null
    helm install podrobin "$chart" --wait --timeout 2m "${images[@]}" --set sidecar.mode=plain \
        --set injection.strict=true --set injection.failurePolicy=Fail \
        --set injection.namespaces.matchLabels."podrobin\.io/injection"=enabled --set rbac.namespaces='{podrobin}' \
        --set webhook.certificate.mode=secret --set webhook.certificate.secretName=mine \
        --set-file webhook.certificate.caBundle="$work/tls.crt" --set webhook.networkPolicy.enabled=true >/dev/null ||
        fail "narrow: install"
    helm test podrobin --logs --timeout 2m >"$work/test" 2>&1 || fail "narrow: helm test: $(cat "$work/test")"
    pass "narrow: helm test, with rights for one namespace: $(grep -o '"pods":{[^}]*}' "$work/test" | tail -n 1)"
    injected && fail "narrow: a pod of a namespace that has not opted in is injected"
    if kubectl --namespace podrobin create --dry-run=server --filename - >"$work/refusal" 2>&1 <<'END'; then
{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "asks", "annotations": {"podrobin.io/service": "cart,pay"}},
"spec": {"containers": [{"name": "app", "image": "app"}]}}
END
        fail "narrow: a pod with a bad annotation is not refused"
    fi
    grep -q "a listener of its own" "$work/refusal" || fail "narrow: the refusal names no mend: $(cat "$work/refusal")"
    pass "narrow: others are left alone, and a mistake is refused: $(tail -n 1 "$work/refusal" | cut -c 1-250)"
    helm uninstall podrobin --wait --timeout 2m >/dev/null || fail "narrow: uninstall"
    kubectl --namespace podrobin delete secret mine >/dev/null
    until_so 60 "narrow: nothing is left" gone
}

# Whether the certificate in the Secret is the one that both pods show.
serves_its_secret() {
    local wanted address
    wanted=$(kubectl --namespace podrobin get secret podrobin-webhook-tls --output 'jsonpath={.data.tls\.crt}' |
        base64 --decode | openssl x509 -noout -fingerprint)
    for address in $(kubectl --namespace podrobin get pods --output 'jsonpath={.items[*].status.podIP}'); do
        [ "$("$here/node.sh" exec openssl s_client -connect "$address:9443" </dev/null 2>/dev/null |
            openssl x509 -noout -fingerprint)" = "$wanted" ] || return 1
    done
}

# The commands of README.md as they are written there, but for the images: this machine has no Docker.
readme() {
    local image version command
    version=$(sed -n 's/^appVersion: //p' "$chart/Chart.yaml")
    for image in podrobin podrobin-shop; do
        "$here/node.sh" enter ctr --namespace k8s.io images tag --force "localhost/$image:test" \
            "ghcr.io/podrobin/$image:$version" >/dev/null
    done
    sed -n '/^## Into a cluster/,/^What makes/p' "$chart/../../README.md" | grep -E '^(helm|kubectl) ' >"$work/commands"
    [ "$(wc -l <"$work/commands")" = 5 ] || fail "readme: not five commands"
    while read -r command; do
        (cd "$chart/../.." && "$here/node.sh" exec env HELM_CACHE_HOME="$work" HELM_CONFIG_HOME="$work" \
            HELM_DATA_HOME="$work" sh -c "$command" </dev/null >"$work/output" 2>&1) ||
            fail "readme: $command: $(cat "$work/output")"
        pass "readme: $command: $(tail -n 1 "$work/output" | cut -c 1-300)"
    done <"$work/commands"
    until_so 30 "readme: each pod of cart answers a third" even
    helm uninstall podrobin --wait >/dev/null
    kubectl delete namespace shop --wait >/dev/null
    until_so 60 "readme: nothing is left" gone
}

# The client's last line names three pods, each with a third of 100 requests.
even() {
    kubectl --namespace shop logs deployment/client --container client --tail 1 |
        grep -E '"pods":\{"cart-[^"]*":3[34],"cart-[^"]*":3[34],"cart-[^"]*":3[34]\}'
}

# A certificate near its end is replaced, and the pods stay trusted meanwhile.
renewal() {
    helm install podrobin "$chart" --wait --timeout 2m "${images[@]}" --set injection.failurePolicy=Fail >/dev/null ||
        fail "renewal: install"
    until_so 30 "renewal: a pod is injected" injected
    local before after
    before=$(certificate)
    kubectl --namespace podrobin annotate --overwrite secret podrobin-webhook-tls podrobin.io/renew-after=1 >/dev/null
    # The annotation is kubectl's now, and Helm takes it back.
    helm upgrade podrobin "$chart" --wait --timeout 2m --force-conflicts "${images[@]}" \
        --set injection.failurePolicy=Fail >/dev/null || fail "renewal: upgrade"
    # At once, with the old files still served; then until the kubelet has brought the new ones.
    injected || fail "renewal: the webhook is not trusted right after the upgrade"
    after=$(certificate)
    [ "$before" != "$after" ] || fail "renewal: it is the same certificate"
    # With failurePolicy Fail each refusal is seen.
    local end=$(($(date +%s) + 180)) asked=0
    until serves_its_secret; do
        [ "$(date +%s)" -lt "$end" ] || fail "renewal: the webhook still serves the old certificate"
        injected || fail "renewal: the webhook is not trusted after $asked pods"
        asked=$((asked + 1))
        sleep 1
    done
    for _ in 1 2 3; do
        injected || fail "renewal: the webhook is not trusted with the new certificate"
    done
    pass "renewal: another certificate, served at last, and all of $asked pods meanwhile were injected"
    helm uninstall podrobin --wait --timeout 2m >/dev/null
    until_so 60 "renewal: nothing is left" gone
}

kubectl create namespace podrobin >/dev/null
kubectl label namespace podrobin pod-security.kubernetes.io/enforce=restricted >/dev/null
until_so 30 "the namespace has its ServiceAccount" kubectl --namespace podrobin get serviceaccount default
until_so 30 "the namespace has its CA" kubectl --namespace podrobin get configmap kube-root-ca.crt
objects >"$work/before"

[ $# -gt 0 ] || set -- webhook policy narrow renewal readme
for mode in "$@"; do
    case $mode in
        narrow | renewal | readme) "$mode" ;;
        *) cycle "$mode" ;;
    esac
done

kubectl delete namespace podrobin --wait >/dev/null
echo "chart on a node: $passed passed, 0 failed"
