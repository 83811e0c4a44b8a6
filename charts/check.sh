#!/usr/bin/env bash
# Checks the chart without a cluster: lint, rendering against the goldens, the manifests against the API server's own
# schemas, values that must be refused, the table in the README, the version.
#
# Usage: charts/check.sh [--update]
#
#   --update  writes goldens/ anew
#
# helm and kubeconform are built from Go modules, once, by tests/cluster/build.sh.
set -euo pipefail
cd "$(dirname "$0")"
update=${1:-}

binaries=$(../tests/cluster/build.sh chart | tail -n 1)
schemas=$(./schemas.sh | tail -n 1)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export HELM_CACHE_HOME=$work/helm HELM_CONFIG_HOME=$work/helm HELM_DATA_HOME=$work/helm
helm=$binaries/helm
failed=0

bad() {
    echo "chart: $*" >&2
    failed=1
}

# render VALUES [ARGUMENT...]
render() {
    local values=$1
    shift
    "$helm" template podrobin podrobin --namespace podrobin --values "$values" --kube-version 1.36.3 \
        --api-versions admissionregistration.k8s.io/v1/MutatingAdmissionPolicy "$@"
}

# A certificate is another one each time.
without_secrets() {
    sed -E 's/^( +(caBundle|tls\.crt|tls\.key|ca\.crt): )[A-Za-z0-9+\/=]{200,}$/\1(not the same twice)/
        s/^( +podrobin\.io\/renew-after: ).*/\1(not the same twice)/'
}

./table.py --check || failed=1

version=$(sed -n 's/^version = "\(.*\)"/\1/p' ../Cargo.toml | head -n 1)
for field in version appVersion; do
    grep -q "^$field: $version$" podrobin/Chart.yaml || bad "Chart.yaml: $field is not Cargo.toml's $version"
done

manifests=0 sets=0
for values in podrobin/ci/*-values.yaml; do
    name=$(basename "$values" -values.yaml)
    "$helm" lint --strict --quiet --values "$values" --kube-version 1.36.3 podrobin >"$work/lint" 2>&1 ||
        bad "$name: lint: $(cat "$work/lint")"
    render "$values" >"$work/$name.yaml" || {
        bad "$name: does not render"
        continue
    }
    without_secrets <"$work/$name.yaml" >"$work/golden"
    if [ "$update" = --update ]; then
        cp "$work/golden" "goldens/$name.yaml"
    elif ! diff -u "goldens/$name.yaml" "$work/golden"; then
        bad "$name: rendered otherwise than goldens/$name.yaml; if it should be, charts/check.sh --update"
    fi
    # Of kinds that other projects define there is no schema here.
    "$binaries/kubeconform" -strict -skip Certificate,Issuer,PodMonitor,ServiceMonitor \
        -schema-location "$schemas/{{.ResourceKind}}{{.KindSuffix}}.json" "$work/$name.yaml" ||
        bad "$name: not what the API server takes"
    sets=$((sets + 1))
    manifests=$((manifests + $(grep -c '^kind:' "$work/$name.yaml")))
done

# What must be refused, and what the refusal must name.
refused=0
for values in podrobin/ci/bad/*.yaml; do
    words=$(sed -n '1s/^# //p' "$values")
    if render "$values" >/dev/null 2>"$work/refusal"; then
        bad "$values is not refused"
    elif ! tr '.' '/' <"$work/refusal" | grep -qF -- "$(tr '.' '/' <<<"$words")"; then
        bad "$values: the refusal does not name $words: $(cat "$work/refusal")"
    fi
    refused=$((refused + 1))
done
# What only an older cluster refuses.
refuses() {
    local words=$1
    shift
    if "$helm" template podrobin podrobin "$@" >/dev/null 2>"$work/refusal"; then
        bad "not refused: $*"
    elif ! grep -qF -- "$words" "$work/refusal"; then
        bad "$*: the refusal does not name $words: $(cat "$work/refusal")"
    fi
    refused=$((refused + 1))
}
refuses "Kubernetes 1.36" --kube-version 1.35.0 --set injection.mode=policy
refuses "sidecar.mode=plain" --kube-version 1.28.9
refuses "kubeVersion" --kube-version 1.27.0 --set sidecar.mode=plain

"$helm" package --destination "$work" podrobin >/dev/null
[ "$failed" = 0 ] || exit 1
echo "chart: $manifests manifests of $sets sets of values as they should be; $refused mistakes refused"
