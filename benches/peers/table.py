"""What was seen, one line a run and one table a scene."""

from dataclasses import dataclass, field
from statistics import median

from proxies import GUARDS, HEDGE


@dataclass
class Run:
    scene: object
    proxy: object
    result: dict = field(default_factory=dict)
    # Requests that came to each pod.
    counts: list = field(default_factory=list)
    # Of one core, the proxy's part.
    cpu: float = 0.0
    problem: str = ""

    @property
    def failed(self):
        """Per cent of all requests."""
        return 100 * self.result["failed"] / self.result["sent"]

    @property
    def share(self):
        """Of the odd pods, as a part of an even one."""
        odd = self.scene.odd
        return sum(self.counts[pod] for pod in odd) / len(odd) / (sum(self.counts) / len(self.counts))

    def line(self):
        head = f"{self.scene.name:8} {self.proxy.title:32}"
        if self.problem:
            return f"{head} PROBLEM\n{self.problem}"
        result = self.result
        figures = f"p50 {result['p50']:6.1f}  p99 {result['p99']:7.1f}  p99.9 {result['p999']:7.1f}  failed {self.failed:5.2f} %"
        share = f"  share {self.share:.2f}" if self.scene.odd else ""
        return f"{head} {figures}{share}  cpu {self.cpu:.3f}  late {result['late']:.1f} {result['causes'] or ''}"


def print_all(options, runs):
    seen = {}
    for run in runs:
        if not run.problem:
            seen.setdefault((run.proxy.title, run.scene.name), []).append(run)
    print("\nHalf of all answers / the slowest of a hundred, in ms:\n")
    print_table(options, seen, latency)
    print("\nFailed, of all requests / what the odd pods got of an even share:\n")
    print_table(options, seen, failures)
    good = [run for runs in seen.values() for run in runs]
    late = median(run.result["late"] for run in good) if good else 0
    busy = max((run.cpu for run in good), default=0)
    print(f"\n{options.rounds} rounds of {options.seconds:g} s, medians; {options.rate}/s through each proxy,", end=" ")
    print(f"{options.at_once} at a time. The busiest proxy used {busy:.0%} of a core; requests left", end=" ")
    print(f"at most {late:.1f} ms late (the latest of a hundred, median of all runs).")
    print(f"podrobin, guarded: {' '.join(GUARDS)}")
    print(f"podrobin, hedged: {HEDGE} as well")


def print_table(options, seen, cell):
    print(f"| proxy | {' | '.join(scene.name for scene in options.scenes)} |")
    print(f"|---{'|---' * len(options.scenes)}|")
    for proxy in options.proxies:
        cells = [cell(seen.get((proxy.title, scene.name))) for scene in options.scenes]
        print(f"| {proxy.title} | {' | '.join(cells)} |")


def latency(runs):
    return " / ".join(f"{median(run.result[name] for run in runs):.0f}" for name in ("p50", "p99")) if runs else "-"


def failures(runs):
    if not runs:
        return "-"
    failed = f"{median(run.failed for run in runs):.2f} %"
    return f"{failed} / {median(run.share for run in runs):.2f}" if runs[0].scene.odd else failed
