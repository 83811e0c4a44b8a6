"""What the sidecar takes, as the kernel counts it."""

import time

import shop
from api import wait
from lines import now
from stage import ready

SECONDS = 3
FAST = 2000

# MiB: what the sidecar asks for, which it should not outgrow.
MEMORY = 32


def cost(stage, row):
    for way in shop.OWN_KEPT, shop.OWN_GRPC:
        measure(stage, row, stage.pods[way], f"{way.name}, 500 requests/s")
    pod = shop.client_pod("fast", shop.keep_alive(FAST, 32), service="cart:http")
    with stage.made(pod) as name:
        pod = wait("the pod to run", lambda: ready(stage.pod(name)) and stage.pod(name))
        lines = stage.lines_of(pod, "client")
        begin = now()
        wait("its requests", lambda: len(lines.intervals(begin + 1, now())) >= 2)
        measure(stage, row, pod, f"keep-alive, {FAST:,} requests/s", 6)
        count = lines.count(begin + 1, now())
        rate = count.ok / len(lines.intervals(begin + 1, now()))
        row.note(f"of {FAST:,} requests/s it got {rate:,.0f} answered, {count.failed} failed, {count.slow} slow")
        if count.failed:
            row.problem(f"failed: {dict(count.causes)}")


def measure(stage, row, pod, what, seconds=SECONDS):
    begin, before = time.monotonic(), stage.node.cpu_seconds(pod, "podrobin")
    time.sleep(seconds)
    spent = stage.node.cpu_seconds(pod, "podrobin") - before
    cores = spent / (time.monotonic() - begin)
    now_used, most = stage.node.memory(pod, "podrobin")
    row.figure(what, f"{1000 * cores:.0f}m", f"{now_used:.1f} MiB", f"{most:.1f} MiB")
    if now_used > MEMORY:
        row.problem(f"{what}: it takes {now_used:.1f} MiB")
