"""Processes that the comparison starts, and ends by their id: nothing else is ever touched."""

import contextlib
import json
import os
import pathlib
import socket
import subprocess
import threading
import time
import urllib.request

# For anything that should happen at once, on a busy machine too.
SOON = 20.0

TRAFFIC = os.environ["PODROBIN_PEERS_TRAFFIC"]


class Process:
    """A child whose output goes to a file, ended with the `with` block it is used in."""

    def __init__(self, folder, *command, **options):
        self.log = pathlib.Path(folder) / f"{pathlib.Path(command[0]).name}.log"
        with self.log.open("ab") as log:
            self.child = subprocess.Popen(
                [str(word) for word in command],
                stdin=options.pop("stdin", subprocess.DEVNULL),
                stdout=options.pop("stdout", log),
                stderr=log,
                # What is set for podrobin outside is not for the one under test.
                env={name: value for name, value in os.environ.items() if not name.startswith("PODROBIN_")},
                **options,
            )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.child.terminate()
        try:
            self.child.wait(SOON)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()

    def broken(self, what):
        return RuntimeError(f"{what}: {self.child.args}\n{self.log.read_text(errors='replace')[-2000:]}")

    def answers(self, port):
        """Waits until a request through this port succeeds."""
        deadline = time.monotonic() + SOON
        while True:
            with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=2):
                return
            if self.child.poll() is not None or time.monotonic() > deadline:
                raise self.broken("does not answer")
            time.sleep(0.02)

    def cpu(self):
        """Seconds that it and its children have run, as the scheduler counts them."""
        total = 0
        for pid in (self.child.pid, *children(self.child.pid)):
            for task in pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat"):
                with contextlib.suppress(OSError):
                    total += int(task.read_text().split()[0])
        return total / 1e9


class Pods(Process):
    """Pods of one scene; `port` is theirs on each of `addresses`."""

    def __init__(self, folder, *options, count=10):
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        super().__init__(folder, TRAFFIC, "pods", f"--pods={count}", *options, **pipes)
        self.lock = threading.Lock()
        port = self._line()["port"]
        self.addresses = [f"127.0.1.{number}:{port}" for number in range(1, count + 1)]

    def _line(self):
        line = self.child.stdout.readline()
        if not line:
            raise self.broken("ended")
        return json.loads(line)

    def say(self, command):
        with self.lock:
            self.child.stdin.write(f"{command}\n")
            self.child.stdin.flush()

    def counts(self):
        """Requests that each has seen since the last `reset`."""
        self.say("counts")
        return self._line()

    def __exit__(self, *whatever):
        with contextlib.suppress(OSError):
            self.child.stdin.close()
        super().__exit__(*whatever)
        self.child.stdout.close()


class Load(Process):
    """The open load through one proxy."""

    def __init__(self, folder, port, *options):
        super().__init__(folder, TRAFFIC, "load", f"127.0.0.1:{port}", *options, stdout=subprocess.PIPE, text=True)

    def begun(self):
        """Waits until the warm-up is over."""
        if self.child.stdout.readline().strip() != "begin":
            raise self.broken("ended early")

    def result(self):
        line = self.child.stdout.readline()
        if not line:
            raise self.broken("ended early")
        return json.loads(line)

    def __exit__(self, *whatever):
        super().__exit__(*whatever)
        self.child.stdout.close()


def children(pid):
    """Child processes, such as nginx's workers."""
    with contextlib.suppress(OSError):
        for tasks in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
            yield from map(int, tasks.read_text().split())


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
