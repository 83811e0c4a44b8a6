#!/bin/sh
# Makes and imports images. Run by node.sh, which has the node up.
#
# Usage: images.sh STATE          what the node itself runs, and what tests need: localhost/busybox:test has a shell (its
#                                 wget crashes in Debian 12: take nc), localhost/clients:test the same, curl with glibc,
#                                 and `fetch NAME PORT` with musl, where this machine has curl and musl-gcc
#        images.sh STATE podrobin [BINARIES]     localhost/podrobin:test and localhost/podrobin-shop:test, of this checkout
set -eu
here=$(cd "$(dirname "$0")" && pwd)
deploy=$here/../../../deploy
state=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

if [ "${2:-}" = podrobin ]; then
    binaries=${3:-}
    if [ -z "$binaries" ]; then
        binaries=$work/bin
        "$deploy/build-static.sh" "$binaries"
    fi
    for image in podrobin podrobin-shop; do
        "$deploy/image.sh" "${image#podrobin-}" "localhost/$image:test" "$work/$image.tar" "$binaries"
        # Each holds one file.
        unpacked=$(stat --format %s "$binaries/${image#podrobin-}")
        echo "localhost/$image:test: $(stat --format %s "$work/$image.tar") bytes as pulled, $unpacked unpacked"
    done
    "$here/node.sh" load "$work/podrobin.tar" "$work/podrobin-shop.tar"
    exit
fi

export PODROBIN_OCI_LAYER=tar

have() {
    "$here/node.sh" enter "$state/bin/ctr" --namespace k8s.io images check --quiet "name==$1" | grep -q .
}

image() {
    "$deploy/oci.sh" "$1" "$work/root" "$work/image.tar" "$2"
    "$here/node.sh" load "$work/image.tar"
}

for name in pause coredns; do
    have "localhost/$name:node" && continue
    rm -rf "$work/root"
    mkdir "$work/root"
    cp -L "$state/bin/$name" "$work/root/$name"
    image "localhost/$name:node" "{\"Entrypoint\":[\"/$name\"]}"
done

have localhost/busybox:test && exit
rm -rf "$work/root"
mkdir -p "$work/root/bin" "$work/root/tmp" "$work/root/etc"
chmod 1777 "$work/root/tmp"
cp "$(command -v busybox)" "$work/root/bin/busybox"
busybox --list | while read -r applet; do
    [ "$applet" = busybox ] || ln -s busybox "$work/root/bin/$applet"
done
shell='{"Entrypoint":[],"Cmd":["/bin/sh"],"Env":["PATH=/bin"]}'
image localhost/busybox:test "$shell"

command -v curl >/dev/null && command -v musl-gcc >/dev/null || exit 0
curl=$(command -v curl)
cp "$curl" "$work/root/bin/curl"
# The loader, and all that it would load.
ldd "$curl" | grep -o '/[^ ]*' | xargs cp --dereference --parents --target-directory="$work/root"
musl-gcc -static -O2 -o "$work/root/bin/fetch" "$here/fetch.c"
image localhost/clients:test "$shell"
