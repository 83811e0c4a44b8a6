"""Plays the rows that are named, all usual ones where none is, and says what was not as promised.

Run by run.sh in the node's network, with the node up and podrobin's images on it.
"""

import os
import signal
import sys
import time
import traceback

import chart
import table
from api import Api
from lines import now
from node import Node
from result import Result
from rows import ROWS
from stage import Stage


def main(names):
    known = {row.name: row for row in ROWS}
    if unknown := sorted(set(names) - set(known)):
        sys.exit(f"no such row: {', '.join(unknown)}; there are {', '.join(known)}")
    rows = [known[name] for name in names] or [row for row in ROWS if row.usual]
    # Ends by way of the `with` and `finally` blocks, which put the node right again.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

    begin = time.monotonic()
    node = Node(os.environ["PODROBIN_NODE"])
    stage = Stage(Api(node.state), node)
    chart.install("webhook")
    stage.clear()
    stage.build()
    stage.settle(now() - 1)
    print(f"the stage was built in {time.monotonic() - begin:.0f} s", flush=True)

    results = [judged(stage, row) for row in rows]
    table.print_all(results)
    failed = sum(1 for result in results if result.problems)
    print(f"\n{len(results) - failed} passed, {failed} failed in {time.monotonic() - begin:.0f} s", flush=True)
    return 1 if failed else 0


def judged(stage, row):
    """A row that is not as promised gets one more chance, as the machine may have been busy; both are told."""
    first = play(stage, row)
    if not first.problems:
        return first
    second = play(stage, row)
    second.note(f"played twice: the first time it was not as promised ({first.problems[0].splitlines()[-1]})")
    return second


def play(stage, row):
    """A row that breaks off has failed, and those after it still play."""
    result = Result(row)
    print(f"== {row.name}: {row.title}", flush=True)
    started = time.monotonic()
    begin = now()
    try:
        if row.counted:
            stage.clients(row.timeout)
            stage.node.forget_half_open()
        if row.before:
            row.before(stage)
        stage.settle(now() - 3)
        begin = now()
        row.scene(stage, result)
        if row.counted:
            count(stage, result, begin)
    except Exception:  # whatever it is, it is told
        result.problem(traceback.format_exc())
    result.seconds = time.monotonic() - started
    tell(stage, result, begin)
    return result


def count(stage, result, begin):
    restless = stage.settle(now())
    result.counts = stage.counts(begin, now())
    if restless:
        result.problem(f"still not calm: {', '.join(restless)}")
    result.judge()


def tell(stage, result, begin):
    for way, one in result.counts.items():
        causes = f" {dict(one.causes)}" if one.causes else ""
        print(f"   {way.name}: {one.cell()}, slowest {one.slowest:.0f} ms{causes}")
    for note in result.notes:
        print(f"   {note}")
    for figure in result.figures:
        print(f"   {', '.join(figure)}")
    print(f"   {'FAILED' if result.problems else 'ok'} in {result.seconds:.1f} s", flush=True)
    for problem in result.problems:
        print(f"FAILED {result.row.name}: {problem}", flush=True)
    if result.problems:
        stage.show_sidecars(begin)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
