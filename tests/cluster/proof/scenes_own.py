"""What happens to the pod that the sidecar is in, and to its installation."""

import base64
import json
import time

import shop
from api import STRATEGIC_PATCH, wait
from chart import WEBHOOK, WEBHOOK_PODS, install
from lines import now
from node import container_status
from scenes_cluster import api_away, back
from stage import has_sidecar, ready

# Seconds for which the app works on after SIGTERM, and that its pod may take beyond that.
WORKS_ON = 3
BEYOND = 4

# Seconds that a Job's app takes, and that its sidecar may add.
JOB = 2
JOB_BEYOND = 2.5

# Seconds of a token's life: the API server gives no shorter one.
TOKEN = 600


def own_pod_deleted(stage, row):
    """The app finishes its work through the sidecar, which ends after it."""
    args = shop.keep_alive(200, 8)
    pod = shop.client_pod("leaving", args, service="cart:http", env={"CLIENT_DRAIN": str(WORKS_ON)})
    with stage.made(pod) as name:
        wait("the pod to be ready", lambda: ready(stage.pod(name)))
        lines = stage.lines_of(stage.pod(name), "client")
        begin = now()
        wait("the client's work", lambda: lines.count(begin + 1, now()).ok)
        deleted = now()
        stage.api.delete(f"{shop.PODS}/{name}")
        events = stage.api.watch(f"{shop.PODS}?fieldSelector=metadata.name={name}")
        last = next(found for kind, found in events if kind == "DELETED")
        took = now() - deleted
    codes = {}
    for container in "client", "podrobin":
        ended = container_status(last, container).get("state", {}).get("terminated", {})
        codes[container] = ended.get("exitCode")
    total = lines.total()
    if not total or total["failed"] or codes != {"client": 0, "podrobin": 0}:
        row.problem(f"exit codes {codes}, and the app's own count is {total}")
        return
    late = sum(line["ok"] for line in lines.intervals(deleted + 1, float("inf")))
    if late < 200 * (WORKS_ON - 2):
        row.problem(f"the app got only {late} answers after SIGTERM")
    if took > WORKS_ON + BEYOND:
        row.problem(f"the pod took {took:.1f} s to end, of which the app {WORKS_ON} s")
    row.note(f"the app worked on for {WORKS_ON} s and had {total['failed']} of {total['sent']:,} fail; "
             f"sidecar's exit code {codes['podrobin']}; the pod was gone after {took:.1f} s of 30")


def job_completes(stage, row):
    """The same Job with a sidecar and without, at the same time."""
    args = ("--manner=keep-alive", "--rate=100", f"--seconds={JOB}", "--fail")
    url = f"http://{stage.address}:8080"
    jobs = {"with": shop.client_pod("x", args, service="cart:http"), "without": shop.client_pod("x", args, url)}
    begin = now()
    for name, pod in jobs.items():
        stage.api.create(shop.JOBS, shop.job(f"job-{name}", pod))
    took = {}

    def all_ended():
        for name in jobs.keys() - took.keys():
            if outcome := ended(stage, f"job-{name}"):
                took[name] = now() - begin
                if outcome != "Complete":
                    row.problem(f"the job {name} sidecar: {outcome}")
        return len(took) == len(jobs)
    wait("the jobs", all_ended)
    row.note(f"a Job of {JOB} s took {took['without']:.1f} s without a sidecar, {took['with']:.1f} s with one")
    if took["with"] - took["without"] > JOB_BEYOND:
        row.problem("the sidecar has kept its Job for too long")
    for name in jobs:
        stage.api.delete(f"{shop.JOBS}/job-{name}?propagationPolicy=Background")


def ended(stage, name):
    conditions = stage.api.get(f"{shop.JOBS}/{name}")["status"].get("conditions", [])
    return next((one["type"] for one in conditions
                 if one["type"] in ("Complete", "Failed") and one["status"] == "True"), None)


def webhook_down(stage, row):
    """Pods are created without a sidecar rather than not at all."""
    scale_webhook(stage, 0)
    try:
        with stage.made(shop.client_pod("unlucky", ("--rate=1",), "http://cart:8080", "cart:http")) as name:
            pod = wait("the pod to run", lambda: ready(stage.pod(name)) and stage.pod(name))
            if has_sidecar(pod):
                row.problem("there is a sidecar, though nobody was there to inject it")
    finally:
        scale_webhook(stage, 2)
    row.note("created and running, without a sidecar")


def scale_webhook(stage, replicas):
    stage.api.call("PATCH", WEBHOOK, {"spec": {"replicas": replicas}}, STRATEGIC_PATCH)

    def settled():
        pods = stage.api.get(WEBHOOK_PODS)["items"]
        return len(pods) == replicas == len([pod for pod in pods if ready(pod)])
    wait(f"{replicas} pods of the webhook", settled, 60)


def policy(stage, row):
    """The API server itself injects."""
    install("policy")
    try:
        wait("the webhook to be gone", lambda: not stage.api.get(WEBHOOK_PODS)["items"])
        pod = shop.client_pod("by-policy", ("--rate=100", "--seconds=2", "--fail"), service="cart:http",
                              restartPolicy="Never")
        wait("the policy to count", lambda: has_sidecar(stage.injected(pod)), 20)
        with stage.made(pod) as name:
            def phase():
                return stage.pod(name)["status"]["phase"]
            wait("the pod to end", lambda: phase() in ("Succeeded", "Failed"), 60)
            total = stage.lines_of(stage.pod(name), "client").total()
            if phase() != "Succeeded" or not total or len(total["pods"]) != 3:
                row.problem(f"{phase()}: {total}")
            else:
                row.note(f"injected without a webhook; {total['ok']} of {total['sent']} requests answered by 3 pods")
    finally:
        install("webhook")
        wait("the webhook to count", lambda: has_sidecar(stage.injected(pod)), 20)


def token_renewed(stage, row):
    """The kubelet puts a new token in the place of one that is about to expire; then the API server takes no other."""
    pod = shop.client_pod("renewed", shop.keep_alive(50, 1), service="cart:http")
    spec = stage.injected(pod)["spec"]
    volume = next(one for one in spec["volumes"] if one["name"] == "podrobin-token")
    for source in volume["projected"]["sources"]:
        if "serviceAccountToken" in source:
            source["serviceAccountToken"]["expirationSeconds"] = TOKEN
    with stage.made({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "renewed"}, "spec": spec}) as name:
        pod = wait("the pod to be ready", lambda: ready(stage.pod(name)) and stage.pod(name))
        first = claims(stage.node.token(pod))
        begin = now()
        time.sleep(max(0, first["exp"] + 5 - now()))
        second = claims(stage.node.token(pod))
        if second["exp"] <= first["exp"]:
            row.problem("the kubelet has not renewed the token")
        # What was opened with the old token does not outlast this.
        with api_away(stage, "kill", "start"):
            time.sleep(2)
        back(stage)
        stage.scale(4)
        try:
            stage.all_carts_ready(4)
            wait("the sidecar to hear of the fourth", lambda: sum(
                one["state"] == "ready" for one in stage.state(pod)["endpoints"]) == 4, 30)
        finally:
            stage.scale(3)
            stage.all_carts_ready()
        count = stage.lines_of(pod, "client").count(begin, now())
        if count.failed or not count.ok:
            row.problem(f"{count.failed} of {count.ok + count.failed} requests failed: {dict(count.causes)}")
        row.note(f"a token of {first['exp'] - first['iat']} s was renewed after {second['iat'] - first['iat']} s; after "
                 f"its end the sidecar still heard of a new pod; {count.failed} of {count.ok + count.failed:,} requests "
                 f"failed")


def claims(token):
    """What a token says of itself."""
    body = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))


def restricted(stage, row):
    """What the namespace demands, and that no pod has the app's token."""
    labels = stage.api.get(f"/api/v1/namespaces/{shop.NAMESPACE}")["metadata"]["labels"]
    if labels.get("pod-security.kubernetes.io/enforce") != "restricted":
        row.problem("the namespace is not restricted")
    for way, pod in stage.pods.items():
        spec = pod["spec"]
        names = [one["mountPath"] for one in spec["containers"][0].get("volumeMounts", [])]
        if spec["automountServiceAccountToken"] is not False or names:
            row.problem(f"the app of {way.name} has mounts: {names}")
    row.note("every pod here is in a namespace that enforces restricted, with automountServiceAccountToken: false")
