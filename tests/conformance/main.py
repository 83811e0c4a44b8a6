"""Runs the suites that are named, all where none is, and says what was not as wanted."""

import importlib
import signal
import sys

from report import Report

SUITES = ["h2spec", "websocket", "grpc_interop", "clients", "slow_clients"]


def main(names):
    unknown = sorted(set(names) - set(SUITES))
    if unknown:
        sys.exit(f"no such suite: {', '.join(unknown)}; there are {', '.join(SUITES)}")
    # Ends by way of the `with` blocks, which end what they started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    report = Report()
    for name in names or SUITES:
        importlib.import_module(f"suites.{name}").run(report)
    return 0 if report.close() else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
