#!/bin/sh
# The proof on a real node: what podrobin promises, under load, with plain kube-proxy beside it.
#
# Usage: tests/cluster/proof/run.sh [--keep] [ROW...]       without a ROW all usual ones; rows.py has them
#
# Starts a node of its own (tests/cluster/node), makes the images from this checkout, installs the chart, plays the rows
# and prints tables; --keep leaves the node up. Needs root, Python 3.11 and what the node needs.
#
#   PODROBIN_NODE              the node's folder (/var/lib/podrobin-proof); one that is up already is used, and stays
#   PODROBIN_PROOF_BINARIES    a folder with `podrobin` and `shop`, static, instead of building them; `loaded` where the
#                              node has the images
set -eu
here=$(cd "$(dirname "$0")" && pwd)
node=$here/../node/node.sh
export PODROBIN_NODE="${PODROBIN_NODE:-/var/lib/podrobin-proof}"

python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || {
    echo "The proof needs Python 3.11 or later as python3." >&2
    exit 1
}

keep=
if [ "${1:-}" = --keep ]; then
    keep=yes
    shift
fi
if "$node" status >/dev/null 2>&1; then keep=yes; fi

end() {
    if [ -z "$keep" ]; then
        "$node" down
    else
        echo "The node is up: PODROBIN_NODE=$PODROBIN_NODE $node kubectl -n shop get pods" >&2
    fi
}
trap end EXIT
trap 'exit 143' TERM INT

"$node" up
case ${PODROBIN_PROOF_BINARIES:-} in
    loaded) ;;
    '') "$node" images ;;
    *) "$node" images "$PODROBIN_PROOF_BINARIES" ;;
esac
PYTHONDONTWRITEBYTECODE=1 "$node" exec python3 "$here/main.py" "$@"
