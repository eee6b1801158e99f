"""Cancelled at every step, by a scope and natively, once and twice: nothing is left."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Literal

import anyio
import pytest

from aconcur.pipeline import Retry
from aconcur.process import PIPE, Command, CommandFailed, CommandTimeout, Runnable, run_many
from aconcur.testing import cancel_everywhere
from tests.support.commands import sh

CAT = Command("cat")
PAIR = CAT | CAT


async def small() -> None:
    await PAIR.run(input=b"x")


async def big() -> None:
    await PAIR.run(input=bytes(300_000))


async def poured() -> None:
    async def some() -> AsyncIterator[bytes]:
        for _ in range(3):
            await anyio.lowlevel.checkpoint()
            yield bytes(50_000)

    await PAIR.run(input=some(), output=len)


async def failing() -> None:
    with suppress(CommandFailed):
        await (sh("exit 3") | CAT).run()


async def too_slow() -> None:
    with suppress(CommandTimeout):
        await sh("sleep 60 & sleep 60").run(timeout=0.01, grace=0)


async def talked_with() -> None:
    async with PAIR.open(input=PIPE) as running:
        await running.write(b"a\nb\n")
        running.close_input()
        async for _ in running.lines():
            pass


async def left_early() -> None:
    async with (Command("yes") | CAT).open(grace=0) as running:
        async for _ in running.chunks():
            break


async def many() -> None:
    jobs: list[tuple[Runnable, bytes]] = [(CAT, b"x")] * 3
    async with run_many(jobs, limit=2) as outcomes:
        async for outcome in outcomes:
            outcome.result()


async def until_last() -> None:
    await (sh("echo a; exec sleep 60") | Command("head", "-1")).run(until_last=True)


async def again() -> None:
    with suppress(CommandFailed):
        await sh("exit 3").run(retry=Retry(2, delay=0))


async def events() -> None:
    async with sh("echo a; echo b >&2").open() as running:
        async for _ in running.events():
            pass


async def frames() -> None:
    async with CAT.open(input=PIPE) as running:
        await running.send(b"8\r\n\r\n12345678a\0bc")
        await running.read_until(b"\r\n\r\n", timeout=20)
        await running.read_exactly(8)
        await anext(running.lines(end=b"\0"))
        await running.receive(1)
        await running.send_eof()
        await running.wait()


async def a_dialogue() -> None:
    async with CAT.open(input=PIPE, grace=0) as running:
        await running.write(b"name? ")
        await running.expect({b"? ": "x"}, timeout=20)
        await running.drain()


async def in_batches() -> None:
    async with sh("echo a").open() as running:
        async for _ in running.line_batches():
            pass
        await running.aclose()


async def tagged() -> None:
    async with run_many([sh("echo a")], tag="{index}: ") as outcomes:
        async for _ in outcomes:
            pass


# They differ from those below in what is above the loop, so one loop each will do.
@pytest.mark.parametrize(
    ("scenario", "backend"),
    [
        (until_last, "trio"),
        (again, "trio"),
        (events, "trio"),
        (frames, "asyncio"),
        (a_dialogue, "trio"),
        (in_batches, "asyncio"),
        (tagged, "trio"),
    ],
)
def test_every_other_operation_too(
    scenario: Callable[[], Awaitable[None]], backend: Literal["asyncio", "trio"]
) -> None:
    cancel_everywhere(scenario, backend=backend).check()


@pytest.mark.parametrize("backend", ["asyncio", "uvloop", "trio"])
@pytest.mark.parametrize(
    "scenario", [small, big, poured, failing, too_slow, talked_with, left_early, many]
)
def test_cancelled_at_any_step_nothing_is_left(
    scenario: Callable[[], Awaitable[None]], backend: Literal["asyncio", "uvloop", "trio"]
) -> None:
    cancel_everywhere(scenario, backend=backend).check()
