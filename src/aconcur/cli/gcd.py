"""``aconcur gcd``: the greatest common divisor of each pair in a file of any length."""

from __future__ import annotations

__all__ = ("run",)

import argparse
import re
import sys
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, nullcontext
from io import BufferedReader
from typing import Final, TypeAlias, cast

import anyio.to_thread

from aconcur import parallel
from aconcur.cli.command import UsageError
from aconcur.errors import AconcurError
from aconcur.lessons.item41_futures.pool import ProcessPool
from aconcur.lessons.item41_futures.work import gcd
from aconcur.parallel import Results, cluster, open_pool, usable_cpus

Row: TypeAlias = tuple[int, str]
"""A line's number, and what stands in it."""
Answer: TypeAlias = tuple[int, str, str]
"""A line's number, what to print for it, and what is wrong with it: one of the two."""

_EVERY: Final = 0.1
_BLOCK: Final = 1 << 16
_CLUSTER: Final = "dask://"
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


async def _rows(file: BufferedReader) -> AsyncIterator[Row]:
    """Yield the lines to compute: a first line of names and empty lines are passed over.

    The loop goes on while a pipe has nothing to say.
    """
    number, rest, block = 0, b"", b"..."
    while block:
        block = await anyio.to_thread.run_sync(file.read1, _BLOCK, abandon_on_cancel=True)
        lines = (rest + block).split(b"\n")
        # What is longer is no pair: int() takes 4300 digits.
        rest = lines.pop()[:_BLOCK]
        for line in lines if block else [rest]:
            number += 1
            # A mark of the encoding, as spreadsheets write it, stands before the first line.
            text = line.decode("utf-8-sig" if number == 1 else "utf-8", "replace").strip()
            if text and not (number == 1 and _is_head(text)):
                yield number, text


def _is_head(text: str) -> bool:
    return all(field.strip().isidentifier() for field in text.split(","))


def divisor(row: Row) -> Answer:
    """Compute a line; runs in a worker."""
    number, text = row
    try:
        a, b = map(int, text.split(","))
    except ValueError:
        return number, "", f"two whole numbers are wanted, not {text:.60}"
    if a < 1 or b < 1:
        return number, "", f"both must be at least 1, not {min(a, b)}"
    return number, f"{a},{b},{gcd((a, b))}", ""


@asynccontextmanager
async def _answers(
    rows: AsyncIterator[Row], executor: str, workers: int | None
) -> AsyncIterator[Results[Answer]]:
    """Open what computes; nothing of it is left after the block."""
    if executor == "pool":
        async with open_pool(workers) as pool:
            yield pool.map(divisor, rows)
    elif executor.startswith(_CLUSTER):
        async with cluster(executor.removeprefix(_CLUSTER)) as far:
            yield parallel.map(divisor, rows, executor=far)
    elif executor == "threads":
        threads = ThreadPoolExecutor(workers or usable_cpus())
        try:
            yield parallel.map(divisor, rows, executor=threads)
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(threads.shutdown)
    else:
        processes = ProcessPool(workers or usable_cpus())
        try:
            yield parallel.map(divisor, rows, executor=processes)
        finally:
            # Whatever they compute: nobody wants it any more.
            processes.kill()


async def _print_all(file: BufferedReader, executor: str, workers: int | None) -> tuple[int, int]:
    """Print a line for each pair, in their order; return how many are wrong, of how many."""
    wrong = total = 0
    progress = Progress()
    async with _answers(_rows(file), executor, workers) as answers:
        async for number, text, error in answers:
            total += 1
            if error:
                wrong += 1
                progress.clear()
                print(f"aconcur: line {number}: {error}", file=sys.stderr)
            else:
                print(text)
            progress.show(total)
    progress.end(total)
    return wrong, total


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
