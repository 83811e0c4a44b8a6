# Recipes for people and for CI alike: `just` lists them, `just ci` is what CI runs.

# The nightly toolchain that cargo-fuzz needs.
nightly := env("PODROBIN_NIGHTLY", "nightly")

# Inputs for each fuzz target of the short run.
fuzz_runs := "30000"

[private]
default:
    @just --list --unsorted

# Format, lints, documentation, dependencies
check:
    cargo fmt --all --check
    cargo fmt --manifest-path fuzz/Cargo.toml --check
    cargo clippy --all-targets -- -D warnings
    cargo clippy --test cluster --test soak -- -D warnings
    cargo clippy --manifest-path fuzz/Cargo.toml --bins --lib -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --document-private-items
    cargo deny check bans licenses sources

# Lints of what is not Rust: shell scripts, the Dockerfile, the release workflow
check-files:
    tests/files/check.sh

# All tests that need nothing but Rust
test *args:
    cargo test {{ args }}

# Build etcd and the Kubernetes control plane for the cluster tests (once, minutes)
cluster-binaries:
    tests/cluster/build.sh

# The tests against a real API server
cluster *args:
    tests/cluster/run.sh {{ args }}

# The Helm chart: lint, goldens, the API server's schemas; `just chart --update` writes the goldens anew
chart *args:
    charts/check.sh {{ args }}

# A real node without Docker: `just node up`, `just node kubectl get pods -A`, `just node down` (as root)
node *args:
    tests/cluster/node/node.sh {{ args }}

# Rows of the proof that CI plays: all but those that measure by the clock.
proof_rows := "spread rollout rollout-hasty scale flap oom kill force stubborn hang freeze api-stopped api-frozen two-lost controllers kubelet own job restricted capture webhook-down policy"

# On the real node: names, Services, each make of client; the chart in each mode; rows of the proof (as root)
node-check:
    #!/usr/bin/env bash
    set -euo pipefail
    export PODROBIN_NODE="${PODROBIN_NODE:-/var/lib/podrobin-node}"
    trap 'tests/cluster/node/node.sh down' EXIT
    tests/cluster/node/node.sh up
    tests/cluster/node/node.sh images
    tests/cluster/node/check.sh
    tests/cluster/node/chart.sh
    PODROBIN_PROOF_BINARIES=loaded tests/cluster/proof/run.sh {{ proof_rows }}

# What is promised, on a real node under load, with kube-proxy beside it: `just proof`, `just proof rollout hang` (as root)
proof *rows:
    tests/cluster/proof/run.sh {{ rows }}

# Suites that others wrote, and the clients people use: h2spec, Autobahn's WebSocket cases, gRPC interop, and more
conformance *suites:
    tests/conformance/run.sh {{ suites }}

# Mixed traffic under rollouts, crashes and outages, for so many seconds; every request is accounted for
soak seconds="600":
    PODROBIN_SOAK_SECONDS={{ seconds }} cargo test --test soak -- --nocapture

# Fuzz one target until it fails or is stopped
fuzz target *args: (_corpus target)
    cargo +{{ nightly }} fuzz run -s none {{ target }} fuzz/corpus/{{ target }} fuzz/seeds/{{ target }} -- {{ args }}

# Every fuzz target reads its seeds, among them all inputs that once failed: for CI, which must not find by chance
fuzz-seeds:
    just fuzz_runs=0 fuzz-short

# A short run of every fuzz target from its seeds
fuzz-short:
    #!/usr/bin/env bash
    set -euo pipefail
    targets=$(cargo +{{ nightly }} fuzz list)
    for target in $targets; do
        corpus=$(mktemp -d)
        cargo +{{ nightly }} fuzz run -s none "$target" "$corpus" "fuzz/seeds/$target" -- \
            -runs={{ fuzz_runs }} -seed=1 -print_final_stats=1
        rm -rf "$corpus"
    done

_corpus target:
    mkdir -p fuzz/corpus/{{ target }}

# Benchmarks with a bound of their own; throughput needs haproxy, nginx and wrk
bench:
    cargo bench --bench pick
    cargo bench --bench policies
    cargo bench --bench propagation

# Other proxies and podrobin side by side in front of pods in trouble; needs haproxy, nginx and Envoy's binary
peers *args:
    benches/peers/run.sh {{ args }}

# What a release consists of, for this machine's architecture, into dist/
release:
    deploy/release.sh dist

# Known vulnerabilities in dependencies; fetches a database, so not part of `ci`
advisories:
    cargo deny check advisories

# The demo
demo *args:
    cargo run --release -- demo {{ args }}

# Everything CI asks for, cheapest first
ci: check check-files fuzz-seeds test chart conformance (soak "60") cluster node-check
