"""Ctrl-C is never an item's error, and on trio it comes out bare."""

from __future__ import annotations

import ctypes
import itertools
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from aconcur.parallel import Pool, open_pool
from tests.support import parallel_tasks as tasks
from tests.support.states import BOUND, until

PROGRAM = """
import anyio, math, sys
from aconcur.parallel import open_pool

async def main():
    async with open_pool(1, start="fork") as pool:
        print("ready", flush=True)
        async for _ in pool.map(math.isqrt, iter(int, 1), chunk=1):
            pass

anyio.run(main, backend=sys.argv[1])
"""


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_ctrl_c_comes_out_of_a_busy_pool_bare(backend: str) -> None:
    # Where it strikes is chance: each of these ended as a group now and then.
    programs = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, backend],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    for program in programs:
        assert program.stdout is not None
        assert program.stdout.readline() == "ready\n"
        program.send_signal(signal.SIGINT)
    for program in programs:
        _, errors = program.communicate(timeout=60)
        assert "Group" not in errors
        assert errors.endswith("KeyboardInterrupt\n")
        assert program.returncode == -signal.SIGINT


class Alarm(Exception):  # noqa: N818
    """Raised by a signal handler."""


def interrupted_input() -> Iterator[Any]:
    """Return an endless input in C that a signal strikes; its handler runs after the draw."""
    send = getattr(ctypes.CDLL(None), "raise")
    return itertools.chain(range(500), map(send, [signal.SIGUSR1]), itertools.repeat(1))


async def test_an_exception_of_a_signal_handler_ends_an_endless_map(pool: Pool) -> None:
    def ring(*_: object) -> None:
        raise Alarm

    before = signal.signal(signal.SIGUSR1, ring)
    try:
        with pytest.raises(Alarm), anyio.fail_after(60):
            async for _ in pool.map(tasks.square, interrupted_input()):
                pass
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert await pool.run(tasks.square, 3) == 9


async def test_an_interrupt_while_an_async_input_is_drawn_ends_the_map_at_once(
    pool: Pool, tmp_path: Path
) -> None:
    async def source() -> Any:  # noqa: ANN401
        yield str(tmp_path / "never"), 1
        await until(lambda: pool.statistics().busy)
        raise KeyboardInterrupt("mine")

    caught: list[BaseException] = []
    with anyio.fail_after(BOUND):
        try:
            await pool.map(tasks.wait_for, source()).collect()
        except BaseException as error:  # noqa: ASYNC103, BLE001 - looked at below
            caught.append(error)
    assert [repr(one) for one in caught] == ["KeyboardInterrupt('mine')"]
    assert await pool.run(tasks.square, 3) == 9


async def test_a_pool_may_be_closed_in_another_task_than_opened_it() -> None:
    opened = open_pool(1, start="fork")
    pools: list[Pool] = []

    async def enter() -> None:
        pools.append(await opened.__aenter__())

    async def leave() -> None:
        await opened.__aexit__(None, None, None)

    async with anyio.create_task_group() as group:  # noqa: ASYNC112 - another task
        group.start_soon(enter)
    assert await pools[0].map(tasks.square, range(5)).collect() == [0, 1, 4, 9, 16]
    async with anyio.create_task_group() as group:  # noqa: ASYNC112
        group.start_soon(leave)
    assert repr(pools[0]) == "<Pool: closed>"
