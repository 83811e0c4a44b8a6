"""What clients have written: a line of JSON a second, in files of the kubelet's."""

import json
import time
from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Count:
    """What came of the requests of some seconds."""
    ok: int = 0
    failed: int = 0
    # Answered, but after more than a second.
    slow: int = 0
    # Due, and not sent, because those before had no answer.
    skipped: int = 0
    slowest: float = 0.0
    pods: Counter = field(default_factory=Counter)
    causes: Counter = field(default_factory=Counter)

    def add(self, line):
        self.ok += line["ok"]
        self.failed += line["failed"]
        self.slow += line["slow"]
        self.skipped += line["skipped"]
        self.slowest = max(self.slowest, line["ms"]["max"])
        self.pods.update(line["pods"])
        self.causes.update(line["causes"])

    def shares(self):
        """Per cent of each pod, the most first."""
        return sorted((100 * some / self.ok for some in self.pods.values()), reverse=True)

    def even(self, pods=3):
        """Whether all have had the same, but for an interval's edges."""
        some = self.pods.values()
        return len(some) == pods and max(some) - min(some) <= max(3, 0.02 * self.ok)

    def cell(self):
        text = f"{self.ok:,} / {self.failed:,} / {self.slow:,}"
        return text + (f" ({self.skipped:,} not sent)" if self.skipped else "")


def parse(text):
    """The JSON of a line of a container's log: `TIME STREAM TAG TEXT`; none where the client has not written it."""
    parts = text.split(" ", 3)
    if len(parts) < 4 or not parts[3].startswith("{"):
        return None
    return json.loads(parts[3])


class Lines:
    """The lines of one client, read on while they are written. They can still be read when the pod has gone."""

    def __init__(self, file):
        self._file = open(file, encoding="utf-8")
        self._rest = ""
        self.all = []

    def close(self):
        self._file.close()

    def read(self):
        *whole, self._rest = (self._rest + self._file.read()).split("\n")
        self.all.extend(line for text in whole if (line := parse(text)))
        return self.all

    def started(self):
        return next((line["time"] for line in self.read() if "started" in line), None)

    def total(self):
        return next((line for line in self.read() if line.get("total")), None)

    def intervals(self, begin, end):
        """The lines written after the one moment, up to the first that is not before the other."""
        found = []
        for line in self.read():
            if "sent" not in line or line["total"] or line["time"] <= begin:
                continue
            found.append(line)
            if line["time"] >= end:
                break
        return found

    def last(self):
        intervals = self.intervals(0, float("inf"))
        return intervals[-1] if intervals else None

    def count(self, begin, end):
        count = Count()
        for line in self.intervals(begin, end):
            count.add(line)
        return count

    def calm_since(self, moment, seconds=2):
        """Whether the last so many intervals lie after the moment, with nothing failed, left out or late."""
        after = [line for line in self.intervals(moment, float("inf")) if line["time"] > moment + 1]
        last = after[-seconds:]
        return len(last) == seconds and all(calm(line) for line in last)


def calm(line):
    return line["ok"] > 0 and not line["failed"] and not line["skipped"] and line["ms"]["max"] < 1000


def now():
    return time.time()
