"""Plays the scenes that are named, all where none is, through each proxy, and prints a table for each.

`cpu` in place of a scene compares what a request costs podrobin under each of its policies and with more of it on.

Rounds are interleaved: each plays every scene through every proxy before the next begins, `--at-once` of them side by
side with pods and load of their own, so that whatever else the machine does meets all.
"""

import argparse
import concurrent.futures
import pathlib
import random
import sys
import tempfile
import traceback

import cpu
import table
from process import Load, Pods
from proxies import PROXIES, Podrobin
from scenes import SCENES

# Of a hundred requests one may leave so late; else the run tells of the machine, and is played again.
LATE_MS = 15
TRIES = 3


def arguments():
    parser = argparse.ArgumentParser(prog="peers")
    parser.add_argument("scenes", nargs="*", metavar="SCENE", help=", ".join([*(scene.name for scene in SCENES), "cpu"]))
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--rate", type=int, default=500, help="requests a second through each proxy")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--at-once", type=int, default=3, help="proxies side by side")
    parser.add_argument("--only", action="append", default=[], help="proxies whose name has this in it; repeat it for more")
    parser.add_argument(
        "--with", dest="more", action="append", default=[], metavar="POLICY FLAGS", help="podrobin so, too; repeat it for more"
    )
    options = parser.parse_args()
    options.cpu = options.scenes == ["cpu"]
    if options.cpu:
        return options
    options.rounds = options.rounds or 3
    known = {scene.name: scene for scene in SCENES}
    if unknown := sorted(set(options.scenes) - set(known)):
        parser.error(f"no such scene: {', '.join(unknown)}; there are {', '.join(known)}")
    options.scenes = [known[name] for name in options.scenes] or SCENES
    options.proxies = [proxy for proxy in PROXIES if any(part in proxy.title for part in options.only or [""])]
    options.proxies += [Podrobin.of(more) for more in options.more]
    return options


def main():
    options = arguments()
    if options.cpu:
        cpu.run(options.rounds or cpu.ROUNDS)
        return 0
    runs = []
    with concurrent.futures.ThreadPoolExecutor(options.at_once) as lanes:
        for number in range(options.rounds):
            jobs = [(scene, proxy) for scene in options.scenes for proxy in shuffled(options.proxies, number)]
            for run in lanes.map(lambda job: play(*job, number, options), jobs):
                runs.append(run)
                print(run.line(), file=sys.stderr, flush=True)
    table.print_all(options, runs)
    return 1 if any(run.problem for run in runs) else 0


def shuffled(proxies, seed):
    return random.Random(seed).sample(proxies, len(proxies))


def play(scene, proxy, number, options):
    """Played again where the machine was not there to send what was due, whatever the figures are."""
    try:
        for _ in range(TRIES):
            with tempfile.TemporaryDirectory(prefix="podrobin-peers-") as folder:
                run = play_in(pathlib.Path(folder), scene, proxy, number, options)
            if run.result["late"] <= LATE_MS:
                break
        return run
    except Exception:  # whatever it is, it is told, and the others go on
        return table.Run(scene, proxy, problem=traceback.format_exc())


def play_in(folder, scene, proxy, number, options):
    load_options = f"--rate={options.rate}", f"--seconds={options.seconds}", f"--seed={number}"
    with Pods(folder, f"--seed={number}") as pods:
        split = len(pods.addresses) - scene.joining
        first, joining = pods.addresses[:split], pods.addresses[split:]
        with proxy.start(folder, first, joining) as process:
            process.answers(process.port)
            for command in scene.steady:
                pods.say(command)
            with Load(folder, process.port, *load_options) as load:
                load.begun()
                pods.say("reset")
                before = process.cpu()
                for command in scene.sudden:
                    pods.say(command)
                if joining:
                    proxy.join(process, folder, first, joining)
                result = load.result()
                used = (process.cpu() - before) / options.seconds
            return table.Run(scene, proxy, result, pods.counts(), used)


if __name__ == "__main__":
    sys.exit(main())
