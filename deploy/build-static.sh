#!/bin/sh
# Builds podrobin and the demo's shop as static binaries, as they go into images.
#
# Usage: deploy/build-static.sh FOLDER [TRIPLE]
#
# With glibc linked in (Rust's musl targets would be an extra download, and their allocator is slower). The Dockerfile
# runs this, and so does deploy/image.sh: what is tested is what is shipped.
set -eu
cd "$(dirname "$0")/.."
mkdir -p "$1"
out=$(cd "$1" && pwd)
triple=${2:-$(rustc -vV | sed -n 's/^host: //p')}

# With a target named, procedural macros and build scripts are built without these flags: they cannot be static.
flags="-C target-feature=+crt-static"
# Where Rust links by lld. Addresses are made its own at start by a table of a few kB instead of half a megabyte, and
# functions that are the same are there once.
case $triple in
    x86_64-*-linux-gnu) flags="$flags -C link-args=-Wl,-z,pack-relative-relocs,--icf=safe,-O2" ;;
esac
export RUSTFLAGS="$flags"
# Names of functions are for profilers, and a seventh of the image.
export CARGO_PROFILE_RELEASE_STRIP=symbols
cargo build --release --locked --target "$triple" --bin podrobin --example shop
built=${CARGO_TARGET_DIR:-target}/$triple/release
install -m 755 "$built/podrobin" "$built/examples/shop" "$out/"

# Says so here rather than as "no such file" in an image that has no loader.
for binary in podrobin shop; do
    if ! ldd "$out/$binary" 2>&1 | grep -Eq 'statically linked|not a dynamic executable'; then
        echo "$out/$binary is not static" >&2
        exit 1
    fi
done
