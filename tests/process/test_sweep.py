"""Cancelled at every step, by a scope and natively, once and twice: nothing is left."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Literal

import anyio
import pytest

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


@pytest.mark.parametrize("backend", ["asyncio", "uvloop", "trio"])
@pytest.mark.parametrize(
    "scenario", [small, big, poured, failing, too_slow, talked_with, left_early, many]
)
def test_cancelled_at_any_step_nothing_is_left(
    scenario: Callable[[], Awaitable[None]], backend: Literal["asyncio", "uvloop", "trio"]
) -> None:
    cancel_everywhere(scenario, backend=backend).check()
