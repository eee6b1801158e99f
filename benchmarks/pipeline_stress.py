"""Time out at random in every put, get and next: ``python -m benchmarks.pipeline_stress``.

Each step runs under an ``asyncio.timeout`` that ends at a random moment, and is tried again after
it. The items received are compared with the items sent. Then runs are ended in every way, with the
time that this takes; a run that leaves anything behind is an error. Last, many items of 1 KB pass.
"""

from __future__ import annotations

__all__ = ("Outcome", "anyio_stream", "asyncio_queue", "pipeline", "queue", "queue_iterated")

import argparse
import asyncio
import random
import resource
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import anyio

from aconcur.pipeline import THREADS, Pipeline, Queue, QueueClosed, stage

TASKS: Final = 4
# Half of all times are over at the next turn of the loop. uvloop counts in whole ms.
LONGEST: Final = 3e-3
END: Final = object()


@dataclass
class Outcome:
    """How often each item, sent once, was received."""

    sent: int
    came: list[int] = field(default_factory=list)
    timeouts: int = 0

    @property
    def lost(self) -> int:
        """Items that never came."""
        return self.sent - len(set(self.came))

    @property
    def doubled(self) -> int:
        """Items that came more than once."""
        return sum(count > 1 for count in Counter(self.came).values())

    async def step(self, act: Callable[[], Awaitable[Any]]) -> Any:
        """Act within random times until it is done."""
        while True:
            try:
                async with asyncio.timeout(random.choice((0, random.random() * LONGEST))):
                    return await act()
            except TimeoutError:
                self.timeouts += 1


async def _some_turns() -> None:
    for _ in range(random.randrange(6)):
        await asyncio.sleep(0)


async def _through(
    outcome: Outcome,
    put: Callable[[int], Awaitable[Any]],
    get: Callable[[], Awaitable[int]],
    close: Callable[[], Awaitable[Any]],
    ends: tuple[type[Exception], ...],
) -> Outcome:
    """Send the items from several tasks to several tasks."""

    async def produce(part: Iterable[int]) -> None:
        for item in part:
            await outcome.step(partial(put, item))
            await _some_turns()

    async def consume() -> None:
        with suppress(*ends):
            while (item := await outcome.step(get)) is not END:
                outcome.came.append(item)
                await _some_turns()

    async with asyncio.TaskGroup() as consumers:
        for _ in range(TASKS):
            consumers.create_task(consume())
        async with asyncio.TaskGroup() as producers:
            for first in range(TASKS):
                producers.create_task(produce(range(first, outcome.sent, TASKS)))
        await close()
    return outcome


async def queue(size: int) -> Outcome:
    """Queue's put and get."""
    one = Queue[int](2)

    async def close() -> None:
        one.close()

    return await _through(Outcome(size), one.put, one.get, close, (QueueClosed,))


async def queue_iterated(size: int) -> Outcome:
    """Queue's put and next."""
    one = Queue[int](2)

    async def close() -> None:
        one.close()

    return await _through(Outcome(size), one.put, one.__anext__, close, (StopAsyncIteration,))


async def pipeline(size: int) -> Outcome:
    """Next of a run of two stages."""

    async def same(item: int) -> int:
        await _some_turns()
        return item

    outcome = Outcome(size)
    stages: Pipeline[int, int] = stage(same, workers=3, buffer=3).map(same, workers=2, buffer=2)
    async with stages.open(range(size)) as run:

        async def consume() -> None:
            with suppress(StopAsyncIteration):
                while True:
                    outcome.came.append(await outcome.step(run.__anext__))

        async with asyncio.TaskGroup() as consumers:
            for _ in range(TASKS):
                consumers.create_task(consume())
    return outcome


async def asyncio_queue(size: int) -> Outcome:
    """The put and get of asyncio.Queue."""
    one = asyncio.Queue[Any](2)

    async def close() -> None:
        for _ in range(TASKS):
            await one.put(END)

    return await _through(Outcome(size), one.put, one.get, close, ())


async def anyio_stream(size: int) -> Outcome:
    """The send and receive of anyio's memory object streams."""
    target, source = anyio.create_memory_object_stream[int](2)
    with source:
        return await _through(
            Outcome(size), target.send, source.receive, target.aclose, (anyio.EndOfStream,)
        )


# ------------------------------------------------------------------- endings


def nap(item: int) -> int:
    time.sleep(0.02)
    return item


async def sleep(item: int) -> int:
    await anyio.sleep(0.001)
    return item


async def end(how: str) -> float:
    """Return the seconds from the moment that ends a run to the end of its block."""
    began = 0.0

    def fail(_: int) -> int:
        nonlocal began
        began = time.perf_counter()
        raise ValueError

    stages = stage(sleep, workers=8).map(nap, workers=16, via=THREADS).map(sleep, workers=8)
    if how == "error":
        stages = stages.map(fail)
    with suppress(ExceptionGroup), anyio.CancelScope() as scope:
        async with stages.open(range(10**6)) as run:
            await anext(run)
            began = time.perf_counter()
            if how == "cancel":
                scope.cancel()
                await anext(run)
    return time.perf_counter() - began


def interrupt(backend: str) -> float:
    """Return the seconds from SIGINT to the end of a process that runs a pipeline."""
    command = [sys.executable, "-m", "benchmarks.pipeline_stress", "--wait-for-sigint", backend]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[1]) as child:
        assert child.stdout is not None
        child.stdout.readline()
        began = time.perf_counter()
        child.send_signal(signal.SIGINT)
        said = child.stdout.read()
    took = time.perf_counter() - began
    assert said == b"interrupted; 1 thread is left\n", said
    return took


async def growth(items: int) -> float:
    """Return by how many MB the process grows while items of 1 KB pass three stages."""

    async def same(item: bytes) -> bytes:
        return item

    def drawn() -> Iterator[bytes]:
        for number in range(items):
            yield number.to_bytes(1024)

    one = stage(same, workers=8, buffer=64)
    await (one | one | one).run(bytes(1024) for _ in range(1000))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    await (one | one | one).run(drawn())
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


def wait_for_sigint(backend: str) -> None:
    async def main() -> None:
        stages = stage(sleep, workers=8).map(nap, workers=16, via=THREADS)
        async with stages.open(range(10**6)) as run:
            await anext(run)
            print("running", flush=True)
            async for _ in run:
                pass

    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        anyio.run(main, backend=backend)
    except* KeyboardInterrupt:  # trio raises it in whatever task runs, so in a group at times
        print(f"interrupted; {threading.active_count()} thread is left")


def main() -> None:
    """Print what was lost, and what endings take."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--size", type=int, default=20_000)
    parser.add_argument("--wait-for-sigint", metavar="BACKEND", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.wait_for_sigint:
        wait_for_sigint(options.wait_for_sigint)
        return
    print(f"{'of ' + str(options.size) + ' items':32} timeouts    lost doubled")
    for case in (queue, queue_iterated, pipeline, asyncio_queue, anyio_stream):
        for uvloop in (False, True):
            found: Outcome = anyio.run(
                case, options.size, backend="asyncio", backend_options={"use_uvloop": uvloop}
            )
            name = f"{case.__name__}, {'uvloop' if uvloop else 'asyncio'}"
            print(f"{name:32} {found.timeouts:8} {found.lost:7} {found.doubled:7}")
    print("\nms from the end of a run to the end of its block (SIGINT: of its process)")
    for backend in ("asyncio", "trio"):
        for how in ("break", "cancel", "error"):
            print(f"{how + ', ' + backend:32} {anyio.run(end, how, backend=backend) * 1e3:8.0f}")
            assert threading.active_count() == 1, threading.enumerate()
        print(f"{'SIGINT, ' + backend:32} {interrupt(backend) * 1e3:8.0f}")
    items = options.size * 50
    print(f"\nMB by which the process grew while {items} items of 1 KB passed")
    for backend in ("asyncio", "trio"):
        print(f"{backend:32} {anyio.run(growth, items, backend=backend):8.2f}")


if __name__ == "__main__":
    main()
