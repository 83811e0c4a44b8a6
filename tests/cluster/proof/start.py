"""How much later an app starts because it waits for its sidecar."""

import contextlib
import time
from statistics import median

import shop
from api import wait
from lines import now

ARGS = ("--rate=1",)

# Pods of each kind: one more delays by chance what one less does not.
PODS = 5

# Seconds that waiting for podrobin may take, beside what the kubelet takes for any sidecar: it looks at containers once
# a second. And from the return of the API server to the start of the app.
DELAY = 0.3
RETURN = 1

# What can hold the app back until the sidecar is ready. The first is what there is without anything.
VARIANTS = {
    "nothing (the app does not wait)": {},
    "startupProbe /readyz each second": {
        "startupProbe": {"httpGet": {"path": "/readyz", "port": 9800}, "periodSeconds": 1, "failureThreshold": 120}},
    "startupProbe /readyz?wait=2s": {
        "startupProbe": {"httpGet": {"path": "/readyz?wait=2s", "port": 9800}, "periodSeconds": 1,
                         "timeoutSeconds": 3, "failureThreshold": 60}},
    "postStart podrobin await": {
        "lifecycle": {"postStart": {"exec": {"command": ["/podrobin", "await"]}}}},
}


def delay(stage, row):
    """As it is injected."""
    took = compare(stage, {
        "without": without(stage),
        "unwaited": with_sidecar(stage, {}),
        "with": lambda name: shop.client_pod(name, ARGS, service="cart:http"),
    })
    kubelet = median(took["unwaited"]) - median(took["without"])
    added = median(took["with"]) - median(took["unwaited"])
    row.note(f"from a pod's creation to its app's first line: {span(took['without'])} without a sidecar, "
             f"{span(took['with'])} with one; {1000 * (kubelet + added):.0f} ms later. Of that the kubelet takes "
             f"{1000 * kubelet:.0f} ms for any native sidecar, even one that nobody waits for")
    if added > DELAY:
        row.problem(f"waiting for podrobin takes {1000 * added:.0f} ms, which should be {1000 * DELAY:.0f} ms at most")


def variants(stage, row):
    """The ways to wait, one beside another."""
    def plain(name):
        pod = shop.client_pod(name, ARGS, service="cart:http")
        pod["metadata"]["annotations"]["podrobin.io/sidecar"] = "plain"
        return pod
    kinds = {"no sidecar": without(stage)}
    kinds |= {name: with_sidecar(stage, change) for name, change in VARIANTS.items()}
    kinds["plain container, postStart podrobin await"] = plain
    took = compare(stage, kinds, 2 * PODS)
    for name, seconds in took.items():
        added = median(seconds) - median(took["no sidecar"])
        row.note(f"{name}: {span(seconds)}, {1000 * added:+.0f} ms")
    for name in list(VARIANTS)[1:]:
        late, _ = after_return(stage, kinds[name]("returns"))
        row.note(f"{name}: {late:.2f} s after the API server's return")


def without(stage):
    return lambda name: shop.client_pod(name, ARGS, f"http://{stage.address}:8080")


def with_sidecar(stage, change):
    """Pods as they come from the injection but for how the app waits, and such that nobody injects again."""
    spec = stage.injected(shop.client_pod("x", ARGS, service="cart:http"))["spec"]
    sidecar = next(one for one in spec["initContainers"] if one["name"] == "podrobin")
    for key in "startupProbe", "lifecycle":
        sidecar.pop(key, None)
    sidecar.update(change)
    return lambda name: {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


def compare(stage, kinds, pods=PODS):
    """Seconds from creation to the app's first line, of each kind in turn."""
    took = {kind: [] for kind in kinds}
    for turn in range(pods):
        for index, (kind, pod) in enumerate(kinds.items()):
            begin = now()
            with stage.made(pod(f"start-{index}-{turn}")) as name:
                took[kind].append(first_line(stage, name) - begin)
    return took


def first_line(stage, name):
    lines = stage.lines_of({"metadata": {"name": name}}, "client")
    return wait(f"{name} to start", lines.started, 120, pause=0.02)


def span(seconds):
    return f"{median(seconds):.2f} s ({min(seconds):.2f} to {max(seconds):.2f})"


def without_api(stage, row):
    """Pods do not reach the API server: the app waits, and starts when they do again."""
    late, early = after_return(stage, shop.client_pod("patient", ARGS, service="cart:http"))
    if early:
        row.problem("the app has not waited")
    row.note(f"the app waited, and started {late:.2f} s after the API server's return")
    if late > RETURN:
        row.problem(f"it started {late:.2f} s after the return, which should be {RETURN} s at most")


def after_return(stage, pod, seconds=6):
    """Seconds from the return of the API server to the app's first line, and whether there was one before."""
    with contextlib.ExitStack() as stack:
        with stage.node.api_hidden():
            name = stack.enter_context(stage.made(pod))
            time.sleep(seconds)
            early = bool(stage.node.logs(shop.NAMESPACE, name, "client"))
        begin = now()
        return first_line(stage, name) - begin, early
