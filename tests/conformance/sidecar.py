"""The program under test."""

import json
import os
import urllib.request

from process import SOON, Process

BINARY = os.environ["PODROBIN_CONFORMANCE_BINARY"]


class Sidecar(Process):
    """podrobin in front of pods on these ports of loopback, ready."""

    def __init__(self, ports, *arguments):
        super().__init__(
            BINARY,
            "run",
            "--listen=127.0.0.1:0",
            "--admin=127.0.0.1:0",
            "--log-format=json",
            "--workers=2",
            "--endpoint=" + ",".join(f"127.0.0.1:{port}" for port in ports),
            *arguments,
        )
        self.port = self.until("proxy listener", lambda: self._listening("proxy"))
        self.admin = self.until("admin listener", lambda: self._listening("admin"))
        self.until("readiness", lambda: self.ask_admin("/readyz") or None)

    def _listening(self, listener):
        for line in self.lines():
            if line.get("message") == "listening" and line.get("listener") == listener:
                return int(line["address"].rpartition(":")[2])
        return None

    def lines(self):
        """The log so far."""
        whole, _, _ = self.said().rpartition("\n")
        for line in whole.splitlines():
            try:
                yield json.loads(line)
            except ValueError:
                # A refusal to start, or a panic: `check` shows it.
                continue

    def ask_admin(self, path):
        """The text of a page of the admin listener, nothing where it is not there or not well."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}{path}", timeout=SOON) as answer:
                return answer.read().decode()
        except OSError:
            return ""

    def resources(self):
        """Resident bytes and open file descriptors."""
        with open(f"/proc/{self.child.pid}/status") as status:
            resident = next(line for line in status if line.startswith("VmRSS:"))
        return int(resident.split()[1]) * 1024, len(os.listdir(f"/proc/{self.child.pid}/fd"))

    def check(self, suite):
        """It is still well, and ends well."""
        suite.row("podrobin is alive afterwards", self.child.poll() is None, self.said())
        status = self.end()
        suite.row("podrobin ends with status 0", status == 0, f"status {status}\n{self.said()}")
        suite.row("podrobin has not panicked", "panicked at" not in self.said(), self.said())
