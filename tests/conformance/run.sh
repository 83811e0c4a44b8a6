#!/bin/sh
# Runs the conformance suites: tests/conformance/run.sh [SUITE...]
#
# Clients, pods and test suites that others wrote, with podrobin in between. Everything runs on loopback, on ports that
# were free, and ends with this script. The program under test is a build of the dev profile; PODROBIN_CONFORMANCE_BINARY
# names another one, such as target/release/podrobin.
#
# Needs Go, Python 3.11 or later with its venv module, curl, and of Debian's packages nghttp2-client, nghttp2-server,
# slowhttptest and wrk. What comes from Go modules and PyPI is pinned here, and built once into the user's cache.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."

for tool in go python3 curl h2load nghttpd slowhttptest wrk cksum; do
    PATH="$PATH:/usr/sbin" command -v "$tool" >/dev/null || {
        echo "The conformance suites need $tool, which is not installed." >&2
        exit 1
    }
done

# Known by what it is made from, so that a change of a version makes a new folder.
stamp=$(cat "$here"/requirements.txt "$here"/tools/h2spec/go.mod "$here"/tools/h2spec/go.sum "$here"/grpc_testing.proto \
    "$here"/run.sh | cksum | tr ' ' '-')
cache=${XDG_CACHE_HOME:-$HOME/.cache}/podrobin/conformance-$stamp
# A Python that is gone has taken its venv along.
if [ ! -e "$cache/complete" ] || ! "$cache/venv/bin/python" -c pass 2>/dev/null; then
    echo "preparing the conformance suites in $cache" >&2
    rm -rf "$cache"
    python3 -m venv "$cache/venv"
    "$cache/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --only-binary :all: \
        --requirement "$here/requirements.txt"
    "$cache/venv/bin/pip" check >&2
    CGO_ENABLED=0 go build -C "$here/tools/h2spec" -mod=readonly -buildvcs=false -trimpath -o "$cache/h2spec" \
        github.com/summerwind/h2spec/cmd/h2spec
    mkdir "$cache/generated"
    "$cache/venv/bin/python" -m grpc_tools.protoc --proto_path="$here" --python_out="$cache/generated" \
        --grpc_python_out="$cache/generated" grpc_testing.proto
    touch "$cache/complete"
fi

if [ -z "${PODROBIN_CONFORMANCE_BINARY:-}" ]; then
    cargo build --bin podrobin
    PODROBIN_CONFORMANCE_BINARY=${CARGO_TARGET_DIR:-target}/debug/podrobin
fi
export PODROBIN_CONFORMANCE_BINARY PODROBIN_CONFORMANCE_H2SPEC="$cache/h2spec"
export PATH="$PATH:/usr/sbin" PYTHONPATH="$here:$cache/generated" PYTHONDONTWRITEBYTECODE=1
exec "$cache/venv/bin/python" "$here/main.py" "$@"
