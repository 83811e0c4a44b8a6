"""What happens to the cluster's own parts."""

import contextlib
import time

import shop
from api import PATIENCE, wait
from stage import ready

# Seconds of an API server that has ended, and of one that is there and says nothing.
STOPPED = 60
FROZEN = 20


def api_stopped(stage, _row):
    """A container is killed early in it; later a pod's sandbox dies, and comes back with an address nobody is told."""
    first = stage.a_cart()
    second = next(pod for pod in stage.carts() if pod["metadata"]["uid"] != first["metadata"]["uid"])
    with api_away(stage, "kill", "start"):
        begin = time.monotonic()
        time.sleep(5)
        stage.node.kill(first, "cart")
        time.sleep(20)
        stage.node.kill_sandbox(second)
        time.sleep(max(0, begin + STOPPED - time.monotonic()))
    back(stage)


def api_frozen(stage, _row):
    pod = stage.carts()[0]
    with api_away(stage, "freeze", "thaw"):
        time.sleep(2)
        stage.node.kill_sandbox(pod)
        time.sleep(FROZEN - 2)
    back(stage)


def two_lost(stage, _row):
    """The same of two pods of three: the one that is left has to do."""
    pods = stage.carts()[:2]
    with api_away(stage, "freeze", "thaw"):
        time.sleep(2)
        for pod in pods:
            stage.node.kill_sandbox(pod)
        time.sleep(FROZEN - 2)
    back(stage)


@contextlib.contextmanager
def api_away(stage, off, on):
    stage.node.daemon(off, "kube-apiserver")
    try:
        yield
    finally:
        stage.node.daemon(on, "kube-apiserver")


def back(stage):
    """Some daemons take more than a minute to be themselves again, or give up; podrobin has to live without that."""
    wait("the API server", stage.api.answers)
    stage.node.restart("kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy")
    stage.all_carts_ready()


def controllers_stopped(stage, _row):
    """Nobody takes the pod out of the list, and its address leads nowhere."""
    name = stage.carts()[0]["metadata"]["name"]
    stage.node.daemon("stop", "kube-controller-manager")
    try:
        stage.api.delete(f"{shop.PODS}/{name}")
        wait(f"{name} to go", lambda: not stage.pod(name))
        time.sleep(8)
    finally:
        stage.node.daemon("start", "kube-controller-manager")
    stage.all_carts_ready()


def kubelet_restarted(stage, _row):
    stage.node.daemon("stop", "kubelet")
    time.sleep(2)
    stage.node.daemon("start", "kubelet")
    wait("the node to be ready", lambda: ready(stage.api.get("/api/v1/nodes/node")), PATIENCE)
    time.sleep(3)
    stage.all_carts_ready()
