"""Other tasks get their turn, however fast a program writes or an input comes."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import anyio
import pytest

from aconcur.process import DISCARD, Command, Running
from tests.support.commands import sh

YES = Command("yes")
# Seconds. The work between two turns takes 2 ms; the rest is for a busy machine.
PATIENCE = 0.4


def work_for(seconds: float) -> None:
    """Hold the loop for so long."""
    time.sleep(seconds)


async def longest_hold(work: Callable[[], Awaitable[object]]) -> float:
    """Return for how long the loop ran no other task while the work ran."""
    worst = 0.0
    done = False

    async def tick() -> None:
        nonlocal worst
        last = time.perf_counter()
        while not done:
            await anyio.lowlevel.checkpoint()
            worst = max(worst, time.perf_counter() - last)
            last = time.perf_counter()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(tick)
        await anyio.lowlevel.checkpoint()
        await work()
        done = True
    return worst


def slowly(running: Running, how: str) -> Callable[[], Awaitable[object]]:
    """Return a reader that works 0.1 ms for each line, and stops after about 0.5 s."""

    async def read() -> None:
        end = time.perf_counter() + 0.5
        async for _ in getattr(running, how)():
            work_for(0.0001)
            if time.perf_counter() > end:
                return

    return read


@pytest.mark.parametrize("how", ["lines", "chunks", "line_batches", "events"])
async def test_reading_a_flood_lets_others_run(how: str) -> None:
    async with YES.open(grace=0) as running:
        assert await longest_hold(slowly(running, how)) < PATIENCE


async def test_lines_with_other_ends_let_others_run() -> None:
    async with Command("yes", "a\rb").open(grace=0) as running:

        async def read() -> None:
            end = time.perf_counter() + 0.3
            async for _ in running.lines(end=(b"\r", b"\n")):
                work_for(0.0001)
                if time.perf_counter() > end:
                    return

        assert await longest_hold(read) < PATIENCE


async def test_a_time_limit_strikes_in_a_flood() -> None:
    began = time.perf_counter()
    with anyio.move_on_after(0.2):
        async with YES.open(grace=0) as running:
            async for _ in running.lines():
                work_for(0.0002)
    assert time.perf_counter() - began < 0.2 + PATIENCE * 3


async def test_a_slow_output_function_lets_others_run() -> None:
    def slow(_: bytes) -> None:
        work_for(0.002)

    flood = sh("yes | head -c 30000000")
    assert await longest_hold(lambda: flood.run(output=slow)) < PATIENCE
    noisy = Command("sh", "-c", "yes | head -c 3000000 >&2", stderr=slow)
    assert await longest_hold(lambda: noisy.run(output=DISCARD)) < PATIENCE


async def test_a_slow_input_lets_others_run() -> None:
    def slow() -> Iterator[bytes]:
        for _ in range(400):
            work_for(0.001)
            yield b"x"

    assert await longest_hold(lambda: Command("cat").run(input=slow(), output=DISCARD)) < PATIENCE


async def test_an_async_input_that_never_waits_lets_others_run() -> None:
    async def eager() -> AsyncIterator[bytes]:
        for _ in range(2000):
            work_for(0.0001)
            yield b"x"

    assert await longest_hold(lambda: Command("cat").run(input=eager(), output=DISCARD)) < PATIENCE


@pytest.mark.parametrize("how", ["receive", "read_exactly"])
async def test_reading_a_flood_by_bytes_lets_others_run(how: str) -> None:
    async with YES.open(grace=0) as running:

        async def read() -> None:
            end = time.perf_counter() + 0.6
            while time.perf_counter() < end:
                assert await getattr(running, how)(2) == b"y\n"
                work_for(0.0001)

        assert await longest_hold(read) < PATIENCE


@pytest.mark.parametrize("kind", ["iterable", "async iterable"])
async def test_an_input_of_empty_chunks_lets_others_run(kind: str) -> None:
    def empty() -> Iterator[bytes]:
        end = time.perf_counter() + 0.6
        while time.perf_counter() < end:
            yield b""
        yield b"end"

    async def empty_async() -> AsyncIterator[bytes]:
        for chunk in empty():
            yield chunk

    async def feed() -> None:
        source = empty() if kind == "iterable" else empty_async()
        assert (await Command("cat").run(input=source)).stdout == b"end"

    assert await longest_hold(feed) < PATIENCE
