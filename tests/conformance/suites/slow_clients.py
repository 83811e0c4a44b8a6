"""slowhttptest's slow clients, while others go on being served as if there were none."""

import collections
import re
import threading
import time
import urllib.request

from process import SOON, Nghttpd, Pod, Process
from sidecar import Sidecar

CONNECTIONS = 400
SECONDS = 8
HEADER_TIMEOUT = 2

# How long others may wait on a machine that is busy with all of this. Whoever is held up waits for the attack's end.
PATIENCE = SECONDS / 2

# Connections to the pod that are kept for the next request.
SPARE_FILES = 8

# For each of them: a stream's window, what a connection reads and writes ahead, and its tasks.
MEMORY = CONNECTIONS * 256 * 1024

# Some bytes every second, so that no timeout of an idle connection would end it.
COMMON = ["slowhttptest", "-c", CONNECTIONS, "-r", CONNECTIONS, "-l", SECONDS, "-i", 1, "-x", 24, "-p", 3]


def run(report):
    attacks = {
        "slow heads": (Pod("quick"), [], ["-H"], "page"),
        "slow bodies": (Pod("quick"), [], ["-B", "-s", 8192], "page"),
        "slow readers": (
            Nghttpd(),
            ["--upstream-protocol=http2"],
            ["-X", "-k", 1, "-w", 256, "-y", 512, "-n", 2, "-z", 16],
            "large",
        ),
    }
    for name, (pod, arguments, attack, path) in attacks.items():
        with report.suite(name) as suite, pod:
            with Sidecar([pod.port], f"--header-timeout={HEADER_TIMEOUT}s", *arguments) as sidecar:
                attacked(suite, sidecar, [*COMMON, *attack, "-u", f"http://127.0.0.1:{sidecar.port}/{path}"])
                if name == "slow heads":
                    refused = re.search(r'requests_total\{.*flag="DPE".*\} (\d+)', sidecar.ask_admin("/metrics"))
                    suite.row("they are turned away", refused and int(refused[1]) >= CONNECTIONS, refused)
                sidecar.check(suite)


def attacked(suite, sidecar, command):
    memory, files = sidecar.resources()
    probe = Probe(sidecar.port)
    with Process(*command) as attack:
        most_files = 0
        while attack.child.poll() is None:
            most_files = max(most_files, sidecar.resources()[1])
            time.sleep(0.05)
        said = re.sub(r"\x1b\[[\d;]*[A-Za-z]", "", attack.said())
    statuses, slowest = probe.stop()
    suite.row("the slow clients were there", most_files - files >= CONNECTIONS, f"{most_files} files\n{said}")
    served = set(re.findall(r"service available:\s+(\w+)", said))
    suite.same("slowhttptest finds the service available", {"YES"}, served)
    suite.same("others are answered", [200], list(statuses))
    suite.row("others are answered in time", slowest < PATIENCE, f"{slowest:.3f} s")
    suite.note(f"{statuses.total()} others served, the slowest in {slowest * 1000:.0f} ms")
    files_left = until(lambda: sidecar.resources()[1], lambda now: now <= files + SPARE_FILES)
    suite.row("nothing is left open", files_left <= files + SPARE_FILES, f"{files} before, {files_left} after")
    grown = sidecar.resources()[0] - memory
    suite.row("memory is bounded", grown < MEMORY, f"grown by {grown} bytes")
    suite.note(f"memory {grown / 1024 / 1024:+.0f} MiB")


def until(look, good):
    """Looks until it is good, or long enough; what was seen last."""
    deadline = time.monotonic() + SOON
    while not good(seen := look()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return seen


class Probe(threading.Thread):
    """A client that is not slow, with a new connection for each request."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.url = f"http://127.0.0.1:{port}/page"
        self.statuses = collections.Counter()
        self.slowest = 0.0
        self.over = threading.Event()
        self.start()

    def run(self):
        while not self.over.wait(0.05):
            begun = time.monotonic()
            try:
                with urllib.request.urlopen(self.url, timeout=SOON) as answer:
                    answer.read()
                    self.statuses[answer.status] += 1
            except OSError as error:
                self.statuses[str(error)] += 1
            self.slowest = max(self.slowest, time.monotonic() - begun)

    def stop(self):
        self.over.set()
        self.join(SOON)
        return self.statuses, self.slowest
