"""What a request costs podrobin under each policy: the CPU time that the scheduler counts, over requests answered.

One sidecar a policy, each with one thread and a load of its own that keeps its connections, all at the same time: what
the machine does otherwise costs all of them the same. A policy's figure of a round is set beside round-robin's of that
round.
"""

import contextlib
import pathlib
import tempfile
from statistics import median

from process import Load, Pods
from proxies import POLICIES, Podrobin

# Pods report their load, whoever asks for it: the cost of passing that on is everybody's.
ALL = (*POLICIES, "weighted:orca")

RATE = 1000
SECONDS = 3.0
# The median of fewer is not within a hundredth on a shared machine.
ROUNDS = 20
# Of a hundred requests one may leave so late; a round in which more did is played again.
LATE_MS = 30


def run(rounds):
    costs = {policy: [] for policy in ALL}
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="podrobin-peers-")))
        pods = stack.enter_context(Pods(folder, "--mean=0", "--report"))
        proxies = {}
        for policy in ALL:
            own = folder / policy.replace(":", "-")
            own.mkdir()
            proxies[policy] = stack.enter_context(Podrobin(policy).start(own, pods.addresses, []))
            proxies[policy].answers(proxies[policy].port)
        # The first round warms up; of the others some are played again.
        for number in range(3 * rounds):
            round_costs = play(folder, proxies, number)
            if number > 0 and round_costs:
                for policy, cost in round_costs.items():
                    costs[policy].append(cost)
            if len(costs["round-robin"]) == rounds:
                return tell(costs, rounds)
    raise RuntimeError("the machine is too busy: requests leave too late")


def play(folder, proxies, number):
    """Microseconds a request under each policy; nothing where the machine was not there."""
    options = f"--rate={RATE}", "--warm=0.5", f"--seconds={SECONDS}", f"--seed={number}"
    with contextlib.ExitStack() as stack:
        loads = {
            policy: stack.enter_context(Load(folder, proxy.port, *options)) for policy, proxy in proxies.items()
        }
        for load in loads.values():
            load.begun()
        before = {policy: proxy.cpu() for policy, proxy in proxies.items()}
        results = {policy: load.result() for policy, load in loads.items()}
        used = {policy: proxy.cpu() - before[policy] for policy, proxy in proxies.items()}
    if any(result["failed"] or result["late"] > LATE_MS for result in results.values()):
        return {}
    return {policy: used[policy] * 1e6 / results[policy]["sent"] for policy in proxies}


def tell(costs, rounds):
    print("| policy | µs of CPU a request | of round-robin's |")
    print("|---|---|---|")
    for policy, own in costs.items():
        ratio = median(cost / base for cost, base in zip(own, costs["round-robin"], strict=True))
        print(f"| `{policy}` | {median(own):.1f} | {ratio:.3f} |")
    print(f"\n{rounds} rounds of {SECONDS:g} s at {RATE}/s each, all at once, ten pods, one thread each; medians.")
