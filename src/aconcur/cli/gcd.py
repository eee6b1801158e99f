"""``aconcur gcd``: the greatest common divisor of each pair in a file of any length."""

from __future__ import annotations

__all__ = ("run",)

import argparse
import re
import sys
import time
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import asynccontextmanager, nullcontext
from functools import partial
from io import BufferedReader
from typing import Final, TypeAlias, cast

import anyio.to_thread

from aconcur import parallel
from aconcur.cli.command import UsageError
from aconcur.cli.gcd_lines import Block, Done, divisors
from aconcur.errors import AconcurError
from aconcur.lessons.item41_futures.pool import ProcessPool
from aconcur.parallel import Results, cluster, open_pool, usable_cpus

Map: TypeAlias = Callable[[Iterable[Block] | AsyncIterable[Block]], Results[Done]]
"""Computes blocks of lines, in their order."""

_EVERY: Final = 0.1
_BLOCK: Final = 1 << 16
_CLUSTER: Final = "dask://"
# Blocks read and not yet printed, at most.
_AHEAD: Final = 256
_ADDRESS: Final = re.compile(r"dask://.*[^:/]:\d+")


class NotAllComputedError(AconcurError):
    """Raised when some lines are wrong: each has been named on stderr."""

    def __init__(self, wrong: int, total: int) -> None:
        super().__init__(f"{wrong} of {total} lines are wrong: see above; the others are done")


def run(chosen: argparse.Namespace) -> None:
    """Obey the command line."""
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
    """Yield all lines, as many at once as have come.

    The loop goes on while a pipe has nothing to say.
    """
    number, rest, data = 1, b"", b"..."
    while data:
        data = await anyio.to_thread.run_sync(file.read1, _BLOCK, abandon_on_cancel=True)
        lines, newline, rest = (rest + data).rpartition(b"\n")
        # What is longer is no pair: int() takes 4300 digits.
        rest = rest[:_BLOCK]
        if newline:
            yield Block(number, lines)
            number += lines.count(b"\n") + 1
    if rest:
        yield Block(number, rest)


@asynccontextmanager
async def _mapped(executor: str, workers: int | None) -> AsyncIterator[Map]:
    """Open what computes; nothing of it is left after the block."""
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
        processes = ProcessPool(workers or usable_cpus())
        try:
            yield _over(processes)
        finally:
            # Whatever they compute: nobody wants it any more.
            processes.kill()


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
        self._progress = Progress()

    def print(self, done: Done) -> None:
        """Print answers to stdout and complaints to stderr."""
        sys.stdout.write(done.text)
        if done.wrong:
            self._progress.clear()
            for number, error in done.wrong:
                print(f"aconcur: line {number}: {error}", file=sys.stderr)
        self.wrong += len(done.wrong)
        self.total += done.answered + len(done.wrong)
        self._progress.show(self.total)

    def end(self) -> None:
        """Say how many there were."""
        self._progress.end(self.total)


class Progress:
    """A line on stderr that moves if that is a terminal; else one at the end."""

    def __init__(self) -> None:
        self._moves = sys.stderr.isatty()
        self._began = self._shown = time.monotonic()

    def show(self, done: int) -> None:
        """Say how many are done, ten times a second."""
        if self._moves and (now := time.monotonic()) - self._shown >= _EVERY:
            self._shown = now
            speed = done / (now - self._began)
            print(
                f"\r\x1b[K{done} pairs, {speed:,.0f} a second\r",
                end="",
                file=sys.stderr,
                flush=True,
            )

    def clear(self) -> None:
        """Make room for another line."""
        if self._moves:
            self._draw("")

    def end(self, done: int) -> None:
        """Say how many there were."""
        self.clear()
        print(f"{done} pairs", file=sys.stderr)

    def _draw(self, text: str) -> None:
        print(f"\r\x1b[K{text}\r", end="", file=sys.stderr, flush=True)
