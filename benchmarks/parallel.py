"""The pool beside its peers: ``python -m benchmarks.parallel [CASE …] [--rounds N]``.

Every figure is a cost: the median and the quartiles of rounds in which all rivals run in turn,
each in a process of its own. Beside it stand the ratios, round by round, to the first line; a ratio
above 1 costs more than the first line. The goals, and whether they are reached, stand below.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack

from benchmarks.parallel_peers import WORKERS
from benchmarks.parallel_table import Goal, Table
from benchmarks.parallel_tables import CASES, TABLES
from benchmarks.rival_process import BOUND, RivalError, RivalProcess
from benchmarks.side_by_side import Cost, compare_costs

_TABLES = "benchmarks.parallel_tables:TABLES"


def measure(key: str, rounds: int, bound: float, only: list[str] | None) -> None:
    """Run a table and print it."""
    table = TABLES[key]
    with ExitStack() as stack:
        names = [name for name in table.rivals if not only or any(word in name for word in only)]
        # All start at once, which takes less time; none runs a round before all have.
        rivals = {
            name: stack.enter_context(RivalProcess(_TABLES, key, name, bound=bound))
            for name in names
        }
        cases: dict[str, Callable[[], float]] = {}
        for name, rival in rivals.items():
            try:
                rival.open()
            except RivalError as failed:
                print(f"  ({name} {failed})", flush=True)
            else:
                cases[name] = rival.round
        costs = compare_costs(table.title, cases, unit=table.unit, rounds=rounds)
    for goal in table.goals:
        print(f"  goal: {goal.text}: {_judged(goal, table, costs)}", flush=True)


def _judged(goal: Goal, table: Table, costs: Mapping[str, Cost]) -> str:
    own = goal.own or next(iter(table.rivals))
    if own not in costs:
        return f"{own} was not measured"
    found = costs[own].each.middle
    if goal.peer is None:
        if goal.less is not None:
            if goal.less not in costs:
                return f"{goal.less} was not measured"
            found -= costs[goal.less].each.middle
        return f"{'reached' if found <= goal.most else 'MISSED'}, {found:.3g} ({own})"
    peers = [name for name in costs if not name.startswith("aconcur")]
    peer = goal.peer or min(peers, key=lambda name: costs[name].each.middle, default="no peer")
    if peer not in costs:
        return f"{peer} was not measured"
    times = costs[peer].ratio.middle / costs[own].ratio.middle
    return f"{'reached' if times >= goal.least else 'MISSED'}, {times:.3g} × {peer} ({own})"


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", choices=[*CASES, []], help="default: all")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--bound", type=float, default=BOUND, help="seconds of a round, at most")
    parser.add_argument("--only", action="append", help="rivals with this in the name")
    chosen = parser.parse_args()
    print(f"Python {sys.version.split()[0]}, {os.cpu_count()} processors, {WORKERS} workers")
    for case in chosen.cases or CASES:
        for key in CASES[case]:
            measure(key, chosen.rounds, chosen.bound, chosen.only)


if __name__ == "__main__":
    main()
