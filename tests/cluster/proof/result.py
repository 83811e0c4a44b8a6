"""What has come of a row, and whether that is as promised."""

from dataclasses import dataclass, field

import shop
from lines import Count
from rows import Row

# Requests by which podrobin may be worse than kube-proxy in the same seconds: a request more or less on its way at the
# moment of a kill is chance.
NOISE = 3


@dataclass
class Result:
    row: Row
    seconds: float = 0.0
    counts: dict[shop.Way, Count] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    figures: list[tuple[str, ...]] = field(default_factory=list)

    def problem(self, text):
        self.problems.append(text)

    def note(self, text):
        self.notes.append(text)

    def figure(self, *cells):
        self.figures.append(cells)

    def judge(self):
        """Holds what was counted against what the row allows, and against kube-proxy."""
        one = self.row.kept if self.row.one is None else self.row.one
        for way, most in (shop.OWN_KEPT, self.row.kept), (shop.OWN_ONE, one), (shop.OWN_GRPC, self.row.grpc):
            count = self.counts[way]
            if count.ok == 0:
                self.problem(f"{way.name} got no answer at all")
            if count.failed > most:
                self.problem(f"{way.name}: {count.failed} failed, at most {most} may: {dict(count.causes)}")
            if self.row.slow is not None and count.slow > self.row.slow:
                self.problem(f"{way.name}: {count.slow} took more than a second, at most {self.row.slow} may")
            for other in self.row.against:
                allowed = NOISE + rate(self.counts[other]) * (count.ok + count.failed)
                if count.failed > allowed:
                    self.problem(f"{way.name}: {count.failed} failed, which is more than through {other.name}")


def rate(count):
    return count.failed / max(1, count.ok + count.failed)
