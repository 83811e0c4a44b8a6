#!/bin/sh
# Makes an image from a folder without a container engine: an OCI archive of one layer.
#
# Usage: oci.sh NAME FOLDER ARCHIVE [CONFIG]
#
#   NAME     the image's name as pods give it, such as localhost/podrobin:test
#   FOLDER   becomes the image's root
#   ARCHIVE  the file to write, for `podman load`, `docker load`, `ctr images import`, `kind load image-archive`
#   CONFIG   the image's configuration as JSON: {"Entrypoint": ["/podrobin"], "User": "65532", ...}
#
# The same files give the same archive, byte for byte. With PODROBIN_OCI_LAYER=tar the layer is not compressed: for an image
# that goes no further than this machine.
set -eu
name=$1 folder=$2 archive=$3 config=${4:-"{}"}

case $(uname -m) in
    x86_64) architecture=amd64 ;;
    aarch64 | arm64) architecture=arm64 ;;
    *) architecture=$(uname -m) ;;
esac
layout=$(mktemp -d)
trap 'rm -rf "$layout"' EXIT
mkdir -p "$layout/blobs/sha256"

pack() {
    tar --create --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner "$@"
}

# Puts a file under its digest's name and sets `digest` and `size`.
blob() {
    digest=$(sha256sum "$1" | cut -d' ' -f1)
    size=$(wc -c <"$1" | tr -d ' ')
    mv "$1" "$layout/blobs/sha256/$digest"
}

pack --directory "$folder" --file "$layout/layer" .
diff_id=$(sha256sum "$layout/layer" | cut -d' ' -f1)
kind=tar
if [ "${PODROBIN_OCI_LAYER:-}" != tar ]; then
    gzip --no-name "$layout/layer"
    mv "$layout/layer.gz" "$layout/layer"
    kind=tar+gzip
fi
blob "$layout/layer"
layer="{\"mediaType\":\"application/vnd.oci.image.layer.v1.$kind\",\"digest\":\"sha256:$digest\",\"size\":$size}"

printf '{"architecture":"%s","os":"linux","config":%s,"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' \
    "$architecture" "$config" "$diff_id" >"$layout/config"
blob "$layout/config"
described="{\"mediaType\":\"application/vnd.oci.image.config.v1+json\",\"digest\":\"sha256:$digest\",\"size\":$size}"

type=application/vnd.oci.image.manifest.v1+json
printf '{"schemaVersion":2,"mediaType":"%s","config":%s,"layers":[%s]}' "$type" "$described" "$layer" >"$layout/manifest"
blob "$layout/manifest"
printf '{"schemaVersion":2,"manifests":[{"mediaType":"%s","digest":"sha256:%s","size":%s,"annotations":%s}]}' \
    "$type" "$digest" "$size" \
    "{\"io.containerd.image.name\":\"$name\",\"org.opencontainers.image.ref.name\":\"${name##*:}\"}" >"$layout/index.json"
printf '{"imageLayoutVersion":"1.0.0"}' >"$layout/oci-layout"

pack --directory "$layout" --file "$archive" blobs index.json oci-layout
