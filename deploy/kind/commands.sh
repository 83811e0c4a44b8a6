# What up.sh, demo.sh and down.sh need of this machine. Read by them.
# shellcheck shell=sh disable=SC2034 # engine is for those who read this

# need COMMAND HOW_TO_GET_IT
need() {
    command -v "$1" >/dev/null || {
        echo "This needs $1: $2" >&2
        exit 1
    }
}

need_kind() {
    need kind "https://kind.sigs.k8s.io/docs/user/quick-start/#installation"
}

need_kubectl() {
    need kubectl "https://kubernetes.io/docs/tasks/tools/#kubectl"
}

# Sets `engine`, and tells kind about it.
need_engine() {
    if command -v docker >/dev/null && docker info >/dev/null 2>&1; then
        engine=docker
    elif command -v podman >/dev/null; then
        engine=podman
        export KIND_EXPERIMENTAL_PROVIDER=podman
    else
        echo "This needs a container engine that runs: docker (https://docs.docker.com/engine/install/) or" \
            "podman (https://podman.io/docs/installation)" >&2
        exit 1
    fi
}
