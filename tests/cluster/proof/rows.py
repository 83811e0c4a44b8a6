"""The rows of the proof: what happens, and how many requests may fail through the sidecar then."""

from collections.abc import Callable
from dataclasses import dataclass

import capture
import cost
import scenes_cluster as cluster
import scenes_own as own
import scenes_pods as pods
import shop
import start


@dataclass(frozen=True)
class Row:
    name: str
    title: str
    scene: Callable
    # What has to be there first; not part of the row.
    before: Callable | None = None
    # How many may fail of those that can be repeated, and of the POSTs that gRPC's calls are.
    kept: int = 0
    grpc: int = 0
    # Of the client with one connection, where that is another number.
    one: int | None = None
    # Why it may be more than none.
    why: str = ""
    # How many may take more than a second; not judged where none is given.
    slow: int | None = None
    # Seconds after which the clients give up.
    timeout: int = shop.PATIENT
    # What it is not to be worse than.
    against: tuple[shop.Way, ...] = (shop.KUBE_KEPT, shop.KUBE_NEW)
    # Clients are counted while it happens.
    counted: bool = True
    # Part of a run that names no row.
    usual: bool = True


# What a pod of three is sent of 500 calls a second in 50 ms, as long as a call may take on a busy machine.
TAKEN = 8
IN_FLIGHT = "calls the pod has taken and not answered; nobody knows if they have been done, so they are not repeated"
# Of each client's: on a connection to a sandbox that has died nobody answers, not even with a reset; and a request that
# cannot connect to one and then to another has waited for two seconds.
LOST = 3
UNHEARD = "what was on its way to an address that has died, or met two of them; gRPC: calls the pod has taken"
HUNG = (
    "calls the pod has taken: its silence tells after a second, and only what may be repeated is taken back; one"
    " connection never has the five requests waiting that tell it"
)

# Of 500 calls a second a third, for as long as it takes to tell. A client of one connection gives up every two seconds.
# Those of kube-proxy's connections that lead elsewhere lose nothing, so they are no measure; those that are new for each
# request are one.
HANG = {"one": 3, "grpc": 400, "why": HUNG, "timeout": shop.IMPATIENT, "against": (shop.KUBE_NEW,)}

ROWS = [
    Row("spread", "nothing: 3 pods", pods.spread),
    Row("rollout", "rollout restart, apps drain 3 s", pods.rollout_draining, pods.have_draining),
    Row("rollout-hasty", "rollout restart, apps exit at once", pods.rollout_hasty, pods.have_hasty,
        grpc=TAKEN, why=IN_FLIGHT),
    Row("scale", "scale 3 to 6 to 1 to 0 (5 s) to 3", pods.scale, pods.have_draining),
    Row("flap", "two pods in turn are not ready for 3.5 s", pods.flapping),
    Row("oom", "a pod is OOM-killed", pods.out_of_memory, grpc=TAKEN, why=IN_FLIGHT),
    Row("kill", "a container is SIGKILLed", pods.killed, grpc=TAKEN, why=IN_FLIGHT),
    Row("force", "a pod is deleted with grace 0", pods.force_deleted, grpc=TAKEN, why=IN_FLIGHT),
    Row("stubborn", "a pod that ignores SIGTERM is deleted", pods.stubborn, pods.have_stubborn),
    Row("hang", "a pod hangs for 5 s, its probe does not", pods.hanging, **HANG),
    Row("freeze", "a pod hangs for 5 s, its probe too", pods.freezing, **HANG),
    Row("api-stopped", "API server stopped 60 s: a SIGKILL, then a sandbox dies", cluster.api_stopped,
        grpc=TAKEN, why=IN_FLIGHT, slow=20, timeout=shop.IMPATIENT),
    Row("api-frozen", "API server frozen 20 s: a sandbox dies", cluster.api_frozen,
        kept=LOST, grpc=TAKEN, why=UNHEARD, slow=20, timeout=shop.IMPATIENT),
    Row("two-lost", "API server frozen 20 s: the sandboxes of two pods of three die", cluster.two_lost,
        kept=2 * LOST, grpc=2 * TAKEN, why=UNHEARD, slow=40, timeout=shop.IMPATIENT, against=(shop.KUBE_NEW,)),
    Row("controllers", "controller manager stopped: a pod is deleted", cluster.controllers_stopped,
        slow=20, timeout=shop.IMPATIENT),
    Row("kubelet", "kubelet restarted", cluster.kubelet_restarted, timeout=shop.IMPATIENT),
    Row("own", "the app's own pod is deleted", own.own_pod_deleted, counted=False),
    Row("job", "a Job with the sidecar", own.job_completes, counted=False),
    Row("restricted", "restricted namespace, no token of the app's", own.restricted, counted=False),
    Row("token", "the sidecar's token is renewed", own.token_renewed, counted=False, usual=False),
    Row("start", "an app starts", start.delay, counted=False),
    Row("start-without-api", "an app starts while pods do not reach the API server", start.without_api, counted=False),
    Row("capture", "an unchanged app: podrobin.io/capture", capture.capture, counted=False),
    Row("webhook-down", "the webhook is away", own.webhook_down, counted=False),
    Row("policy", "policy mode, without a webhook", own.policy, counted=False),
    Row("cost", "CPU and memory of the sidecar", cost.cost, counted=False),
    Row("start-variants", "ways to let the app wait for the sidecar", start.variants, counted=False, usual=False),
]
