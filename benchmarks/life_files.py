"""Read and write RLE: a soup of 1 100 × 1 100 cells, beside lifelib if it is installed."""

from __future__ import annotations

import argparse
import platform
import sys
import time
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import Any
from unittest.mock import patch

from aconcur.life import Grid, Pattern, read_rle, write_rle
from benchmarks.side_by_side import compare_costs

SIDE = 1100


def ms(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000


def without_numpy(text: str) -> float:
    with patch.dict(sys.modules, {"numpy": None}):
        return ms(partial(read_rle, text))


def to_grid(text: str) -> Grid:
    return read_rle(text).grid(SIDE, SIDE)


def by_lifelib(tree: Any, text: str) -> float:
    return ms(partial(tree.pattern, text))


def main() -> None:
    """Measure; print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.life_files", description=__doc__)
    parser.add_argument("--rounds", type=int, default=9, help="rounds (9)")
    options = parser.parse_args()
    pattern = Pattern.from_grid(Grid.random(SIDE, SIDE, density=0.35, seed=1))
    text = write_rle(pattern)
    cases: dict[str, Callable[[], float]] = {
        "read_rle with numpy": lambda: ms(partial(read_rle, text)),
        "read_rle without": lambda: without_numpy(text),
        "read_rle with numpy, and .grid()": lambda: ms(partial(to_grid, text)),
        "write_rle": lambda: ms(partial(write_rle, pattern)),
    }
    if find_spec("lifelib"):
        import lifelib

        tree = lifelib.load_rules("b3s23").lifetree()
        cases["lifelib, tree included"] = partial(by_lifelib, tree, text)
    read_rle(text)
    print(f"CPython {platform.python_version()}; {len(text)} characters")
    compare_costs("RLE", cases, unit="ms", rounds=options.rounds)


if __name__ == "__main__":
    main()
