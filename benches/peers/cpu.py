"""What a request costs podrobin under each policy, and with what goes with every request where it is on.

That is the CPU time that the scheduler counts, over the requests answered. One sidecar each, with one thread and a load
of its own that keeps its connections, all at the same time: what the machine does otherwise costs all of them the same.
A figure of a round is set beside round-robin's of that round.
"""

import contextlib
import pathlib
import tempfile
from statistics import median

from process import Load, Pods
from proxies import POLICIES, Podrobin

# Pods report their load, whoever asks for it: the cost of passing that on is everybody's.
ALL = (
    *POLICIES,
    "weighted:orca",
    "round-robin --max-pod-requests=100",
    "round-robin --max-pod-requests=adaptive",
    "round-robin --max-pod-connections=100",
    "round-robin --hedge=p95",
)

RATE = 600
SECONDS = 3.0
# The median of fewer is not within a hundredth on a shared machine.
ROUNDS = 20
# Of a hundred requests one may leave so late; a round in which more did is played again.
LATE_MS = 30


def run(rounds):
    costs = {line: [] for line in ALL}
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="podrobin-peers-")))
        pods = stack.enter_context(Pods(folder, "--mean=0", "--report"))
        proxies = {}
        for number, line in enumerate(ALL):
            own = folder / str(number)
            own.mkdir()
            proxies[line] = stack.enter_context(Podrobin.of(line).start(own, pods.addresses, []))
            proxies[line].answers(proxies[line].port)
        # The first round warms up; of the others some are played again.
        for number in range(3 * rounds):
            round_costs = play(folder, proxies, number)
            if number > 0 and round_costs:
                for line, cost in round_costs.items():
                    costs[line].append(cost)
            if len(costs["round-robin"]) == rounds:
                return tell(costs, rounds)
    raise RuntimeError("the machine is too busy: requests leave too late")


def play(folder, proxies, number):
    """Microseconds a request for each; nothing where the machine was not there."""
    options = f"--rate={RATE}", "--warm=0.5", f"--seconds={SECONDS}", f"--seed={number}"
    with contextlib.ExitStack() as stack:
        loads = {
            line: stack.enter_context(Load(folder, proxy.port, *options)) for line, proxy in proxies.items()
        }
        for load in loads.values():
            load.begun()
        before = {line: proxy.cpu() for line, proxy in proxies.items()}
        results = {line: load.result() for line, load in loads.items()}
        used = {line: proxy.cpu() - before[line] for line, proxy in proxies.items()}
    if any(result["failed"] or result["late"] > LATE_MS for result in results.values()):
        return {}
    return {line: used[line] * 1e6 / results[line]["sent"] for line in proxies}


def tell(costs, rounds):
    print("| `--policy` | µs of CPU a request | of round-robin's |")
    print("|---|---|---|")
    for line, own in costs.items():
        ratio = median(cost / base for cost, base in zip(own, costs["round-robin"], strict=True))
        print(f"| `{line}` | {median(own):.1f} | {ratio:.3f} |")
    print(f"\n{rounds} rounds of {SECONDS:g} s at {RATE}/s each, all at once, ten pods, one thread each; medians.")
