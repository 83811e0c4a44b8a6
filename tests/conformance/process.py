"""Processes that the suites start, and end: nothing else is ever touched."""

import contextlib
import os
import pathlib
import subprocess
import sys
import tempfile
import time

# For anything that should happen at once, on a busy machine too.
SOON = 15.0

HERE = pathlib.Path(__file__).parent


class Process:
    """A child whose output goes to a file, ended with the `with` block it is used in."""

    def __init__(self, *command):
        self.output = tempfile.NamedTemporaryFile(prefix="podrobin-conformance-")
        self.child = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.DEVNULL,
            stdout=self.output,
            stderr=subprocess.STDOUT,
            # What is set for podrobin outside is not for the one under test.
            env={name: value for name, value in os.environ.items() if not name.startswith("PODROBIN_")},
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()
        self.output.close()

    def end(self):
        """Asks it to end, and makes it end; its exit status."""
        with contextlib.suppress(ProcessLookupError):
            self.child.terminate()
        try:
            return self.child.wait(SOON)
        except subprocess.TimeoutExpired:
            self.child.kill()
            return self.child.wait()

    def said(self):
        return pathlib.Path(self.output.name).read_text(errors="replace")

    def until(self, what, look):
        """Looks at the process until `look` finds something."""
        deadline = time.monotonic() + SOON
        while True:
            if (found := look()) is not None:
                return found
            if self.child.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"no {what} from {self.child.args}:\n{self.said()}")
            time.sleep(0.01)


class Pod(Process):
    """A pod of pods/, which prints the port that it took."""

    def __init__(self, name, *arguments):
        super().__init__(sys.executable, HERE / "pods" / f"{name}.py", *arguments)
        self.port = self.until("port", self._port)

    def _port(self):
        first, end, _ = self.said().partition("\n")
        return int(first) if end else None


class Nghttpd(Process):
    """nghttp2's server: HTTP/2 without TLS, with the files `page` and, of 4 MiB, `large`."""

    def __init__(self):
        self.root = tempfile.TemporaryDirectory(prefix="podrobin-conformance-")
        root = pathlib.Path(self.root.name)
        (root / "page").write_text("a page\n")
        (root / "large").write_bytes(bytes(4 * 1024 * 1024))
        super().__init__("nghttpd", "--no-tls", "--address=127.0.0.1", "-d", root, "0")
        self.port = self.until("listener", self._port)

    def _port(self):
        # It does not say which port it was given; the kernel does.
        return next(iter(listening(self.child.pid)), None)

    def __exit__(self, *whatever):
        super().__exit__(*whatever)
        self.root.cleanup()


def listening(pid):
    """Ports of the TCP listeners of a process."""
    inodes = set()
    with contextlib.suppress(FileNotFoundError):
        for descriptor in os.scandir(f"/proc/{pid}/fd"):
            with contextlib.suppress(FileNotFoundError):
                inodes.add(os.readlink(descriptor.path))
    for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[3] == "0A" and f"socket:[{fields[9]}]" in inodes:
            yield int(fields[1].rpartition(":")[2], 16)
