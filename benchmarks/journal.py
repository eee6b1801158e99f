"""What a journal costs: ``python -m benchmarks.journal`` from the project's root.

The same pipeline, three stages of nothing, with a journal and without, in turn; the journal is a
new file each time. Then a run all of whose items the journal has.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio

from aconcur.pipeline import Journal, Pipeline, stage
from benchmarks.side_by_side import compare_costs


async def same(item: Any) -> Any:
    return item


def pipeline() -> Pipeline[Any, Any]:
    one: Pipeline[Any, Any] = stage(same, workers=8, buffer=64)
    return one | one | one


def cost(
    items: list[Any], backend: str, folder: Path | None, collect: bool, again: bool = False
) -> float:
    """Return µs an item."""
    journal = None
    if folder is not None:
        journal = Journal(folder / f"{time.monotonic_ns()}.db")
    ways = pipeline().collect if collect else pipeline().run
    job = partial(ways, items, journal=journal)
    if again:
        anyio.run(job, backend=backend)
    start = time.perf_counter()
    anyio.run(job, backend=backend)
    return (time.perf_counter() - start) / len(items) * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--backend", choices=("asyncio", "trio"), default="asyncio")
    chosen = parser.parse_args()
    keys = list(range(chosen.items))
    urls = [f"https://example.org/pictures/{key * 7919 % chosen.items:09}.jpg" for key in keys]
    with TemporaryDirectory() as folder:
        here = Path(folder)
        make = partial(partial, cost)
        cases: dict[str, Callable[[], float]] = {
            "run, no journal": make(keys, chosen.backend, None, collect=False),
            "run, journal, keys 0, 1, 2 …": make(keys, chosen.backend, here, collect=False),
            "run, journal, URLs in no order": make(urls, chosen.backend, here, collect=False),
            "collect, journal, URLs, results kept": make(urls, chosen.backend, here, collect=True),
            "run, all recorded before": make(urls, chosen.backend, here, collect=False, again=True),
        }
        compare_costs(
            f"{chosen.items} items through 3 stages, {chosen.backend}",
            cases,
            unit="µs an item",
            rounds=chosen.rounds,
        )


if __name__ == "__main__":
    main()
