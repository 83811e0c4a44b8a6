#!/bin/sh
# Makes what a release consists of, for this machine's architecture: `just release`, and the release workflow on each.
#
# Usage: deploy/release.sh FOLDER
#
# In the folder, in the end: the program as an archive, its image and the demo's as OCI archives, the chart, the list of
# what it is built from (CycloneDX), and SHA256SUMS.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
out=$(cd "$1" && pwd)
cd "$here/.."

for pair in cargo:"https://rustup.rs" cargo-cyclonedx:"cargo install --locked cargo-cyclonedx@0.5.9" \
    helm:"https://helm.sh/docs/intro/install/ or tests/cluster/build.sh helm"; do
    command -v "${pair%%:*}" >/dev/null || {
        echo "release.sh: needs ${pair%%:*}: ${pair#*:}" >&2
        exit 1
    }
done

version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
case $(uname -m) in
    x86_64) architecture=amd64 ;;
    aarch64 | arm64) architecture=arm64 ;;
    *) echo "release.sh: podrobin is released for amd64 and arm64, not for $(uname -m)" >&2 && exit 1 ;;
esac
release=podrobin-$version-linux-$architecture

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
deploy/build-static.sh "$work/bin"
mkdir "$work/$release"
cp "$work/bin/podrobin" LICENSE README.md CHANGELOG.md "$work/$release/"
tar --create --gzip --sort=name --owner=0 --group=0 --numeric-owner --directory "$work" \
    --file "$out/$release.tar.gz" "$release"

for image in podrobin podrobin-shop; do
    deploy/image.sh "${image#podrobin-}" "ghcr.io/podrobin/$image:$version" \
        "$out/$image-$version-image-$architecture.tar" "$work/bin"
done

cargo cyclonedx --format json --spec-version 1.5 --override-filename "$release.sbom" --target \
    "$(rustc -vV | sed -n 's/^host: //p')"
mv "$release.sbom.json" "$out/"

helm package charts/podrobin --version "$version" --app-version "$version" --destination "$out"
(cd "$out" && sha256sum -- *-"$version"* >SHA256SUMS)
