"""``aconcur gcd``: the greatest common divisor of each pair in a file of any length."""

from __future__ import annotations

__all__ = ("add_arguments", "run")

import argparse
import multiprocessing
import re
import signal
import sys
import time
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, nullcontext
from functools import partial
from io import BufferedReader
from typing import Final, TypeAlias, cast

import anyio.to_thread

from aconcur import parallel
from aconcur.cli.command_line import UsageError
from aconcur.cli.gcd_lines import Block, Done, divisors
from aconcur.cli.output import StatusLine
from aconcur.errors import AconcurError
from aconcur.parallel import Results, cluster, open_pool, usable_cpus

Map: TypeAlias = Callable[[Iterable[Block] | AsyncIterable[Block]], Results[Done]]
"""Computes blocks of lines, in their order."""

_BLOCK: Final = 1 << 16
_CLUSTER: Final = "dask://"
# The largest number of blocks that are read and not yet printed.
_AHEAD: Final = 256
_ADDRESS: Final = re.compile(r"dask://.*[^:/]:\d+")


class NotAllComputedError(AconcurError):
    """Raised when some lines are wrong. Each was reported on stderr."""

    def __init__(self, wrong: int, total: int) -> None:
        super().__init__(f"{wrong} of {total} lines are wrong: see above; the others are done")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command and its options."""
    parser.description = (
        "Read pairs of whole numbers, one pair a line as A,B, and print A,B,GCD for each, in the "
        "order of the input. The work is the chapter's: it tries every number from the smaller one "
        "down, at about 0.05 µs each. The input may have any length: only a part of it is in "
        "memory at a time. A first line of names and empty lines are skipped."
    )
    parser.epilog = (
        "A wrong line is reported on stderr with its number, and the others are computed; the exit "
        "code is then 1."
    )
    add = parser.add_argument
    add(
        "pairs",
        nargs="?",
        default="-",
        metavar="PAIRS.csv",
        help="the input (default, and -: stdin)",
    )
    add("--workers", type=int, metavar="N", help="default: the processors that it may use")
    add(
        "--executor",
        default="pool",
        metavar="WHAT",
        help="pool (default), threads, processes, or a Dask cluster as dask://HOST:PORT",
    )


def run(chosen: argparse.Namespace) -> None:
    """Run the command."""
    if chosen.workers is not None and chosen.workers < 1:
        raise UsageError(f"--workers must be at least 1, not {chosen.workers}")
    if chosen.executor not in {"pool", "threads", "processes"}:
        if not _ADDRESS.fullmatch(chosen.executor):
            raise UsageError(
                "--executor must be pool, threads, processes or dask://HOST:PORT, "
                f"not {chosen.executor!r}"
            )
        if chosen.workers is not None:
            raise UsageError("--workers is for this machine: a cluster has its own")
    file = cast(BufferedReader, sys.stdin.buffer)
    with nullcontext(file) if chosen.pairs == "-" else open(chosen.pairs, "rb") as lines:  # noqa: PTH123
        wrong, total = anyio.run(_print_all, lines, chosen.executor, chosen.workers)
    if wrong:
        raise NotAllComputedError(wrong, total)


async def _blocks(file: BufferedReader) -> AsyncIterator[Block]:
    """Yield all lines, in blocks as large as one read returns.

    A thread reads, so that the loop goes on while a pipe is empty.
    """
    number, rest, data = 1, b"", b"..."
    while data:
        data = await anyio.to_thread.run_sync(file.read1, _BLOCK, abandon_on_cancel=True)
        lines, newline, rest = (rest + data).rpartition(b"\n")
        # A longer line is not a pair, because int() takes at most 4300 digits.
        rest = rest[:_BLOCK]
        if newline:
            yield Block(number, lines)
            number += lines.count(b"\n") + 1
    if rest:
        yield Block(number, rest)


@asynccontextmanager
async def _mapped(executor: str, workers: int | None) -> AsyncIterator[Map]:
    """Open the executor, and close it with its workers at the end of the block."""
    if executor == "pool":
        async with open_pool(workers) as pool:
            yield partial(pool.map, divisors, buffer=_AHEAD)
    elif executor.startswith(_CLUSTER):
        async with cluster(executor.removeprefix(_CLUSTER)) as far:
            yield _over(far)
    elif executor == "threads":
        threads = ThreadPoolExecutor(workers or usable_cpus())
        try:
            yield _over(threads)
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(threads.shutdown)
    else:
        with _processes(workers or usable_cpus()) as processes:
            yield _over(processes)


@contextmanager
def _processes(workers: int) -> Iterator[Executor]:
    """Open the standard library's process pool; kill its workers at the end of the block."""
    spawn = multiprocessing.get_context("spawn")
    processes = ProcessPoolExecutor(workers, spawn, _ignore_ctrl_c)
    try:
        # All workers start with Ctrl-C blocked, until each ignores it.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            for _ in range(workers):
                processes.submit(int)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        yield processes
    finally:
        for worker in multiprocessing.active_children():
            worker.kill()
        processes.shutdown()


def _ignore_ctrl_c() -> None:
    """Leave Ctrl-C to the parent. Runs in each worker first."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _over(executor: Executor) -> Map:
    return partial(parallel.map, divisors, executor=executor, buffer=_AHEAD)


async def _print_all(file: BufferedReader, executor: str, workers: int | None) -> tuple[int, int]:
    """Print a line for each pair, in their order; return how many are wrong, of how many."""
    printer = _Printer()
    async with _mapped(executor, workers) as mapped:
        async for done in mapped(_blocks(file)):
            printer.print(done)
            if done.left:
                lines = enumerate(done.left, done.following)
                singles = (Block(number, line.encode()) for number, line in lines)
                async for one in mapped(singles):
                    printer.print(one)
    printer.end()
    return printer.wrong, printer.total


class _Printer:
    """Prints what is done, and counts it."""

    def __init__(self) -> None:
        self.wrong = self.total = 0
        self._status = StatusLine()
        self._began = time.monotonic()

    def print(self, done: Done) -> None:
        """Print answers to stdout and complaints to stderr."""
        self._status.clear()
        sys.stdout.write(done.text)
        if done.wrong:
            for number, error in done.wrong:
                print(f"aconcur: line {number}: {error}", file=sys.stderr)
        self.wrong += len(done.wrong)
        self.total += done.answered + len(done.wrong)
        speed = self.total / (time.monotonic() - self._began)
        self._status.show(f"{self.total} pairs, {speed:,.0f} a second")

    def end(self) -> None:
        """Print the number of pairs."""
        self._status.clear()
        print(f"{self.total} pairs", file=sys.stderr)
