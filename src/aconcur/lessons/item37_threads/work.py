"""The jobs of item 37: calls that wait, one that counts.

Rules: a job takes no arguments and decides nothing about
concurrency. Every version takes a sequence of jobs and
returns their answers in the order of the jobs. All jobs
can be pickled, so that a process can run them too.
"""

from __future__ import annotations

__all__ = (
    "Job",
    "Jobs",
    "ask",
    "blocking_calls",
    "factorize",
    "numbers",
    "read_file",
    "slow_systemcall",
    "timed",
    "waiting_calls",
)

import hashlib
import random
import select
import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import chain, count, islice
from pathlib import Path
from typing import TypeAlias, TypeVar

T = TypeVar("T")
Job: TypeAlias = Callable[[], T]
Jobs: TypeAlias = Sequence[Job[T]]

# Long against the start of a thread (about 0.1 ms), short
# enough to measure many calls one after another.
WAIT = 0.01

# Served by the page cache: reading and hashing take a
# third of a millisecond, most of it without the GIL.
FILE_BYTES = 256 * 1024

# A guess: a server on loopback that is still silent then
# has died.
ANSWER_TIMEOUT = 10.0


def slow_systemcall(seconds: float) -> int:
    """Block for ``seconds`` in one system call.

    Returns:
        How many descriptors became ready: 0.
    """
    ready, _, _ = select.select([], [], [], seconds)
    return len(ready)


def read_file(path: Path) -> str:
    """Read a file whole and return its SHA-256."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def ask(address: tuple[str, int], question: str) -> str:
    """Send one line, block for the answer, return it.

    Raises:
        OSError: no answer comes within 10 seconds.
    """
    with (
        socket.create_connection(
            address, ANSWER_TIMEOUT
        ) as connection,
        connection.makefile("rw", encoding="utf-8") as line,
    ):
        line.write(f"{question}\n")
        line.flush()
        return line.readline().rstrip("\n")


def factorize(n: int) -> list[int]:
    """Return all divisors of ``n``: try each number."""
    return [i for i in range(1, n + 1) if n % i == 0]


@contextmanager
def blocking_calls(
    size: int, seed: int
) -> Iterator[tuple[Jobs[int | str]]]:
    """Give ``size`` calls: by turns select, read and ask.

    The server that is asked is a child process: neither its
    GIL nor its memory are those of the versions compared.
    """
    # What a child process has to import stays small.
    from aconcur.lessons.item37_threads.server import (
        echo_server,
    )

    draw = random.Random(seed)
    with (
        tempfile.TemporaryDirectory() as folder,
        echo_server(size) as address,
    ):

        def three(i: int) -> Iterator[Job[int | str]]:
            path = Path(folder, f"{i}.bin")
            path.write_bytes(draw.randbytes(FILE_BYTES))
            yield partial(slow_systemcall, WAIT)
            yield partial(read_file, path)
            yield partial(
                ask, address, draw.randbytes(8).hex()
            )

        calls = chain.from_iterable(map(three, count()))
        yield (list(islice(calls, size)),)


@contextmanager
def waiting_calls(
    size: int, seed: int
) -> Iterator[tuple[Jobs[int]]]:
    """Give ``size`` calls that wait 10 ms each."""
    del seed  # nothing here is random
    yield ([partial(slow_systemcall, WAIT)] * size,)


@contextmanager
def numbers(
    size: int, seed: int
) -> Iterator[tuple[Jobs[list[int]]]]:
    """Give ``size`` numbers near 500 000 to factorize."""
    draw = random.Random(seed)
    yield (
        [
            partial(
                factorize, draw.randint(450_000, 550_000)
            )
            for _ in range(size)
        ],
    )


@contextmanager
def timed(version: str, remark: str) -> Iterator[None]:
    """Print one row of the small table of a run alone."""
    print(f"  {version:<12}", end="", flush=True)
    start = time.perf_counter()
    yield
    seconds = time.perf_counter() - start
    print(f"{seconds:6.2f} s   {remark}")
