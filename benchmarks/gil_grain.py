"""Ask stock CPython whether it does as the "gil" grain says: ``python -m benchmarks.gil_grain``.

Each classic fault runs on real threads, 100 times over, with the switch interval at its least, and
is explored at "gil" grain. Where the exploration finds nothing, no real run may fail: that is an
error here. Where it finds a schedule, real runs may be too lucky to meet it: that is only told.

A run is an interpreter of its own, in which the scenario runs again and again for half a second
or until it fails; one that does not end within a second more is a deadlock. Takes about eight
minutes.
"""

from __future__ import annotations

__all__ = ("main",)

import faulthandler
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable

from aconcur.testing import explore_threads
from tests.testing.explore_threads import thread_bugs

RUNS = 100
SECONDS = 0.5
HANG = 1.0

# Real time for which threads hand the GIL to and fro before they start as one: two or three turns
# of a waiter, which the kernel's timer lets wait for 50 µs and more.
CROWD = 200e-6


def crowded(*targets: Callable[[], object]) -> None:
    """Do as ``together``, with a turn's end at any moment of what the targets do."""
    begin = time.perf_counter() + CROWD

    def crowd(target: Callable[[], object]) -> None:
        while time.perf_counter() < begin:
            pass
        target()

    threads = [threading.Thread(target=crowd, args=(target,)) for target in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def run(name: str) -> None:
    """Run a fault's scenario until its time is over, on real threads."""
    thread_bugs.together = crowded
    sys.setswitchinterval(1e-6)
    faulthandler.dump_traceback_later(SECONDS + HANG, exit=True)
    scenario = thread_bugs.BUGS[name][0]
    end = time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        scenario()
    os._exit(0)


def fails(name: str) -> bool:
    """Return whether a run in a new interpreter fails or hangs."""
    command = [sys.executable, "-m", "benchmarks.gil_grain", name]
    return subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode != 0


def main() -> int:
    """Compare; return 1 if a real run contradicts an exploration."""
    contradicted = False
    print(f"{'CPython ' + sys.version.split()[0]:34}  gil grain  stock runs that fail")
    for name, (scenario, _) in thread_bugs.BUGS.items():
        found = explore_threads(scenario)
        # A fault that needs no turn at all shows in each run: three tell it.
        runs = 3 if found.failure and found.failure.token == "base" else RUNS
        failed = sum(fails(name) for _ in range(runs))
        wrong = found.ok and failed > 0
        contradicted |= wrong
        verdict = "never" if found.ok else "fails"
        mark = "  CONTRADICTION" if wrong else ""
        print(f"{name:34}  {verdict:9}  {failed} of {runs}{mark}", flush=True)
    return int(contradicted)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        run(sys.argv[1])
    else:
        sys.exit(main())
