"""Tables of benchmarks.parallel that map: tiny calls, payloads, uneven calls, the book's."""

from __future__ import annotations

__all__ = ("MAPS",)

import gc
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

from benchmarks import parallel_work as work
from benchmarks.parallel_peers import MAPPERS, WORKERS
from benchmarks.parallel_table import Goal, Prepared, Table
from benchmarks.parallel_work import MIB
from benchmarks.rival_process import Rival


@contextmanager
def _mapped(
    name: str, function: Callable[[Any], Any], items: Prepared, chunk: int, per: float
) -> Iterator[Callable[[], float]]:
    with MAPPERS[name]() as mapped:

        def run() -> float:
            # New ones each round: joblib keeps arrays that it has sent, on disk.
            given = items()
            gc.collect()
            began = time.perf_counter()
            mapped(function, given, chunk)
            return (time.perf_counter() - began) / per

        yield run


def _maps(
    function: Callable[[Any], Any], items: Prepared, chunks: dict[str, int], per: float
) -> dict[str, Rival]:
    return {
        name: partial(_mapped, name, function, items, chunk, per) for name, chunk in chunks.items()
    }


# ------------------------------------------------------------------ tiny calls

# The chunk with which each peer is quickest here; where there is nothing to set, 0.
_TUNED: Final = {
    "aconcur, collect()": 0,
    "aconcur, async for": 0,
    "aconcur, async for, uvloop": 0,
    "aconcur, async for, trio": 0,
    "ProcessPoolExecutor.map": 4096,
    "multiprocessing.Pool.map": 0,
    "multiprocessing.Pool.imap": 1024,
    "anyio.to_process": 16384,
    "trio-parallel": 16384,
    "aiomultiprocess": 4096,
    "loky": 4096,
    "joblib": 0,
    "mpire": 4096,
    "pebble": 4096,
}


_TINY: Final = 200_000
_FEW: Final = 2000


def _tiny() -> Table:
    rivals = _maps(work.gcd_in, partial(work.pairs, _TINY), _TUNED, _TINY / 1e6)
    default = {"ProcessPoolExecutor.map": 1, "aiomultiprocess": 1}
    few = _maps(work.gcd_in, partial(work.pairs, _FEW), default, _FEW / 1e6)
    # It looks into every item of an argument, 50 µs each: 200 000 would take 10 s a round.
    dask = _maps(work.gcd_in, partial(work.pairs, _TINY // 10), {"dask": 4096}, _TINY / 1e7)
    return Table(
        "200 000 × math.gcd, the peers with the chunk that suits them",
        "µs an item",
        rivals | dask | {f"{name}, its default": rival for name, rival in few.items()},
        (
            Goal("at least 1.4 × the best tuned peer", "", 1.4),
            Goal("at least 2 × ProcessPoolExecutor, tuned", "ProcessPoolExecutor.map", 2),
            Goal("at least 100 × its default", "ProcessPoolExecutor.map, its default", 100),
        ),
    )


# -------------------------------------------------------------------- payloads

_CARRIERS: Final = {
    "aconcur, async for": 1,
    "aconcur, async for, uvloop": 1,
    "aconcur, async for, trio": 1,
    "ProcessPoolExecutor.map": 1,
    "multiprocessing.Pool.imap": 1,
    "anyio.to_process": 1,
    "trio-parallel": 1,
    "aiomultiprocess": 1,
    "loky": 1,
    "joblib": 1,
    "mpire": 1,
    "pebble": 1,
}


def _large_arrays() -> Sequence[Any]:
    import numpy

    return [numpy.ones(MIB) for _ in range(work.SENT)]


def _numbers() -> Sequence[Any]:
    return [0] * work.SENT


def _payload(title: str, function: Callable[[Any], Any], items: Prepared, least: float) -> Table:
    return Table(
        f"8 MiB of {title}, an item a message",
        "ms an item",
        _maps(function, items, _CARRIERS, work.SENT / 1000),
        (Goal(f"at least {least} × the best peer", "", least),),
    )


# ----------------------------------------------------------- uneven, and even

_DRAW: Final = random.Random(41)
_CLIFF: Final = [20e-6] * 6000 + [0.03] * 60
_TAIL: Final = [min(_DRAW.paretovariate(1.2) * 50e-6, 0.2) for _ in range(8000)]


def _cliff() -> Sequence[Any]:
    return _CLIFF


def _tail() -> Sequence[Any]:
    return _TAIL


def _uneven(title: str, items: Prepared) -> Table:
    chunks = {
        "aconcur, collect()": 0,
        "aconcur, async for, trio": 0,
        "ProcessPoolExecutor.map": 16,
        "multiprocessing.Pool.imap": 16,
        "multiprocessing.Pool.map": 0,
        "joblib": 0,
    }
    share = Goal("at least 96 % of the ideal", most=1 / 0.96)
    return Table(
        f"uneven, {title}",
        f"× the ideal of {WORKERS} workers",
        _maps(work.spin, items, chunks, sum(items()) / WORKERS),
        (share,),
    )


def _book_pairs() -> Sequence[Any]:
    return work.BOOK


@contextmanager
def _here() -> Iterator[Callable[[], float]]:
    def run() -> float:
        began = time.perf_counter()
        list(map(work.book_gcd, work.BOOK))
        return time.perf_counter() - began

    yield run


def _book() -> Table:
    chunks = {"aconcur, collect()": 0, "ProcessPoolExecutor.map": 1, "multiprocessing.Pool.map": 1}
    return Table(
        "the book's gcd",
        "s",
        _maps(work.book_gcd, _book_pairs, chunks, 1.0) | {"in one process": _here},
        (Goal("at least 1.95 × one process", "in one process", 1.95),),
    )


MAPS: Final[dict[str, Table]] = {
    "tiny": _tiny(),
    "bytes in": _payload("bytes in", len, work.large_bytes, 4),
    "bytes out": _payload("bytes out", work.kept_bytes, _numbers, 6),
    "numpy in": _payload("numpy's floats in", work.first, _large_arrays, 1.8),
    "numpy out": _payload("numpy's floats out", work.kept_array, _numbers, 6),
    "cliff": _uneven("6 000 × 20 µs, then 60 × 30 ms", _cliff),
    "tail": _uneven("8 000 items with a heavy tail", _tail),
    "book": _book(),
}
