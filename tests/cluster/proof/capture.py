"""An app that is not changed at all, and calls the Service by its usual names."""

import subprocess

import shop
from api import wait
from lines import now
from stage import ready

NAMES = ["cart", "cart.shop", "cart.shop.svc", "cart.shop.svc.cluster.local"]

# Kubernetes lets /etc/hosts have no name with a dot at its end: such a client reaches the Service, without the sidecar.
DOTTED = ["cart.shop.svc.cluster.local."]

CALLS = {
    "glibc (curl)": lambda name: ["curl", "-sS", "--max-time", "5", f"http://{name}:8080/"],
    "musl": lambda name: ["fetch", name, "8080"],
}
TIMES = 3


def capture(stage, row):
    client = shop.client_pod("captured", ("--rate=50",), "http://cart:8080")
    client["metadata"]["annotations"] = {"podrobin.io/service": "cart:8080", "podrobin.io/capture": "true"}
    shell = {**shop.container("shell", []), "image": shop.CLIENTS_IMAGE, "command": ["sleep", "1000"]}
    del shell["args"]
    client["spec"]["containers"].append(shell)
    client["spec"]["terminationGracePeriodSeconds"] = 1
    with stage.made(client) as name:
        pod = wait("the pod to run", lambda: ready(stage.pod(name)) and stage.pod(name))
        lines = stage.lines_of(pod, "client")
        begin = lines.started()
        wait("its requests", lambda: len(lines.intervals(begin + 1, now())) >= 3)
        count = lines.count(begin + 1, now())
        row.note(f"http://cart:8080 on one connection: {' / '.join(f'{share:.1f}' for share in count.shares())} %, "
                 f"{count.failed} failed")
        if count.failed or not count.even():
            row.problem(f"not spread: {dict(count.pods)}, {dict(count.causes)}")
    pod = shop.pod("callers", "client", shell, client["metadata"]["annotations"], terminationGracePeriodSeconds=1)
    with stage.made(pod) as name:
        pod = wait("the pod to run", lambda: ready(stage.pod(name)) and stage.pod(name))
        for kind, call in CALLS.items():
            through = [one for one in NAMES if calls(stage, row, pod, call(one))]
            dotted = [one for one in DOTTED if calls(stage, row, pod, call(one))]
            row.note(f"{kind}: through the sidecar by {', '.join(through + dotted)}")
            if missing := sorted(set(NAMES) - set(through)):
                row.problem(f"{kind}: past the sidecar by {', '.join(missing)}")
            if past := sorted(set(DOTTED) - set(dotted)):
                row.note(f"{kind}: past it, to the Service itself, by {', '.join(past)}")


def calls(stage, row, pod, command):
    """Whether some requests have gone through the sidecar; that they are answered is wanted in any case."""
    before = sent(stage, pod)
    kubectl = ["kubectl", "--namespace", shop.NAMESPACE, "exec", pod["metadata"]["name"], "--container", "shell", "--"]
    once = " ".join(command)
    script = f"for i in $(seq {TIMES}); do {once}; echo; done"
    said = subprocess.run([*kubectl, "sh", "-c", script], check=False, capture_output=True, text=True, timeout=30)
    answers = [line for line in said.stdout.split() if line.startswith("cart-")]
    if len(answers) != TIMES:
        row.problem(f"{once}: {said.stdout} {said.stderr}")
    return sent(stage, pod) - before == TIMES


def sent(stage, pod):
    return sum(one["requests"] for one in stage.state(pod)["endpoints"])
