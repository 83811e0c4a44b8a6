"""What happens to pods: of their own accord, by a rollout, by a kill."""

import time

import shop
from api import wait
from lines import now
from node import container_status

# Seconds for which a Service has no pod, or a pod is not ready, or hangs.
GAP = 5
UNREADY = 3.5

# From when on after the list has left a pod out a request to it is a late one.
LATE = 0.3


def spread(stage, row):
    """Who answers a client of one kept-alive connection, and what the sidecar says it has sent where."""
    pod = stage.pods[shop.OWN_ONE]
    before = stage.state(pod)
    begin = now()
    time.sleep(6)
    end = now()
    after = stage.state(pod)
    counts = stage.counts(begin, end)
    for way in shop.KUBE_ONE, shop.KUBE_GRPC, shop.OWN_ONE, shop.OWN_GRPC:
        row.note(f"{way.name}: {' / '.join(f'{share:.1f}' for share in counts[way].shares())} %")
        if way.service and not counts[way].even():
            row.problem(f"{way.name} is not spread evenly: {dict(counts[way].pods)}")
    sent = {one["pod"]: one["requests"] for one in after["endpoints"]}
    for one in before["endpoints"]:
        sent[one["pod"]] -= one["requests"]
    row.note(f"/state of podrobin one counts {' / '.join(str(some) for some in sent.values())} requests")
    if max(sent.values()) - min(sent.values()) > 1:
        row.problem(f"podrobin one has not taken turns: {sent}")


def have_draining(stage):
    stage.drains(shop.DRAIN)


def have_hasty(stage):
    stage.drains(0)


def rollout_draining(stage, _row):
    # Those that leave are the ones that drain.
    stage.roll(0)


def rollout_hasty(stage, _row):
    stage.roll(shop.DRAIN)


def scale(stage, _row):
    for replicas in 6, 1, 0:
        stage.scale(replicas)
        stage.all_carts_ready(replicas)
    time.sleep(GAP)
    stage.scale(3)
    stage.all_carts_ready()


def flapping(stage, row):
    """A pod says that it is not ready, and is again; it would answer all the time."""
    late = dict.fromkeys(stage.lines, 0)
    for pod in stage.carts()[:2]:
        name, address = pod["metadata"]["name"], pod["status"]["podIP"]
        stage.control(pod, "unready")
        wait(f"{name} to be left out", lambda: address not in stage.ready_addresses(), pause=0.02)
        begin = now() + LATE
        time.sleep(UNREADY)
        end = now()
        stage.control(pod, "ready")
        wait(f"{name} to be back", lambda: address in stage.ready_addresses())
        stage.written(end)
        for way, lines in stage.lines.items():
            # Lines that tell of nothing but this time.
            inside = [line for line in lines.intervals(begin + 1, end) if line["time"] <= end]
            late[way] += sum(line["pods"].get(name, 0) for line in inside)
    told = ", ".join(f"{way.name} {some}" for way, some in late.items() if way.compared)
    row.note(f"requests to the pod {LATE} s after it left the list, in two of the seconds it was out: {told}")
    for way, some in late.items():
        if way.service and some:
            row.problem(f"{way.name} sent {some} requests to a pod that was out of the list")


def out_of_memory(stage, _row):
    pod = stage.a_cart()
    stage.control(pod, "hog")
    restarted(stage, pod, "OOMKilled")


def killed(stage, _row):
    pod = stage.a_cart()
    stage.node.kill(pod, "cart")
    restarted(stage, pod, "Error")


def restarted(stage, pod, reason):
    name = pod["metadata"]["name"]

    def back():
        status = container_status(stage.pod(name), "cart")
        ended = status.get("lastState", {}).get("terminated")
        return ended and status["ready"] and ended["reason"]
    said = wait(f"{name} to be restarted", back)
    if said != reason:
        raise RuntimeError(f"{name} ended because of {said}")
    stage.all_carts_ready()


def force_deleted(stage, _row):
    name = stage.carts()[0]["metadata"]["name"]
    stage.api.delete(f"{shop.PODS}/{name}", grace=0)
    wait(f"{name} to go", lambda: not stage.pod(name))
    stage.all_carts_ready()


def have_stubborn(stage):
    stage.api.create(shop.PODS, shop.cart_pod("stubborn", grace=4, CART_IGNORE_SIGTERM="true"))
    stage.all_carts_ready(4)


def stubborn(stage, _row):
    """It serves on until the end of its grace period, and is killed then."""
    stage.api.delete(f"{shop.PODS}/stubborn")
    wait("the stubborn pod to go", lambda: not stage.pod("stubborn"))
    stage.all_carts_ready()


def hanging(stage, _row):
    stage.control(stage.carts()[0], f"hang/{GAP}")
    time.sleep(GAP)


def freezing(stage, _row):
    """Its probe hangs as well."""
    stage.control(stage.carts()[0], f"freeze/{GAP}")
    time.sleep(GAP)
    stage.all_carts_ready()
