#!/bin/sh
# Makes an image of the Dockerfile without a container engine: an OCI archive with what its last stages would have.
#
# Usage: deploy/image.sh STAGE NAME ARCHIVE [BINARIES]
#
#   STAGE      a stage of the Dockerfile that is FROM scratch: podrobin, or shop
#   NAME       the image's name as pods give it, such as localhost/podrobin:test
#   ARCHIVE    the file to write
#   BINARIES   a folder with what the build stage has in /out; without it, it is built
#
# The stage is read, not repeated: a line that is not understood here is an error.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
stage=$1 name=$2 archive=$3 binaries=${4:-}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [ -z "$binaries" ]; then
    binaries=$work/out
    "$here/build-static.sh" "$binaries" >&2
fi

# The stage's own lines: from its FROM to the next one.
awk -v stage="$stage" '
    $1 == "FROM" { mine = $2 == "scratch" && $4 == stage; next }
    mine && NF && $1 !~ /^#/' "$here/../Dockerfile" >"$work/lines"
[ -s "$work/lines" ] || {
    echo "image.sh: the Dockerfile has no stage FROM scratch AS $stage" >&2
    exit 1
}

mkdir "$work/root"
user='' entrypoint='' labels=''
while read -r instruction rest; do
    case $instruction in
        COPY)
            # shellcheck disable=SC2086 # --from=build /out/FILE /FILE
            set -- $rest
            case "$# $1 $2" in
                "3 --from=build /out/"*) ;;
                *) echo "image.sh: cannot do: COPY $rest" >&2 && exit 1 ;;
            esac
            mkdir -p "$work/root/$(dirname "$3")"
            cp "$binaries/${2#/out/}" "$work/root/$3"
            ;;
        LABEL)
            case $rest in
                *=\"*\") labels="$labels${labels:+,}\"${rest%%=*}\":${rest#*=}" ;;
                *) echo "image.sh: cannot do: LABEL $rest" >&2 && exit 1 ;;
            esac
            ;;
        USER) user=$rest ;;
        ENTRYPOINT) entrypoint=$rest ;;
        *) echo "image.sh: cannot do: $instruction $rest" >&2 && exit 1 ;;
    esac
done <"$work/lines"

"$here/oci.sh" "$name" "$work/root" "$archive" \
    "{\"User\":\"$user\",\"Entrypoint\":$entrypoint,\"Labels\":{$labels}}"
