#!/bin/sh
# Removes the kind cluster that up.sh made, and nothing else.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=deploy/kind/commands.sh
. "$here/commands.sh"
need_engine
need_kind
kind delete cluster --name podrobin
