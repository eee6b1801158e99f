"""Item 78: blocking calls found, and moved."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import pytest

from aconcur.lessons.item78_responsive import lateness, original, rebuilt, work

LESSON = "item78_responsive"
Call: TypeAlias = Callable[..., Awaitable[Any]]
pytestmark = pytest.mark.timeout(60)


@pytest.mark.entry("run")
@pytest.mark.parametrize("size", [0, 1, 12])
async def test_every_user_is_logged_in(call: Call, size: int) -> None:
    with work.passwords(size, seed=1) as (inputs,):
        assert await call(inputs) == list(map(work.digest, inputs))


@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
async def test_debug_mode_names_the_coroutine_that_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(password: str) -> str:
        time.sleep(4 * rebuilt.SLOW)
        return password

    monkeypatch.setattr(original, "digest", slow)
    found = await rebuilt.blocking_calls(original.run(["a", "b"]))
    assert sum("log_in" in line for line in found) == 2
    assert asyncio.get_running_loop().slow_callback_duration != rebuilt.SLOW


@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
async def test_a_moved_call_lets_the_loop_wake_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(password: str) -> str:
        time.sleep(0.2)
        return password

    for version in (original, rebuilt):
        monkeypatch.setattr(version, "digest", slow)
    before = await lateness.late(original.run, ["a", "b", "c"])
    after = await lateness.late(rebuilt.run, ["a", "b", "c"])
    assert max(before) >= 500
    assert len(after) > len(before)


def test_the_table_has_the_columns_of_the_lesson() -> None:
    for row in lateness.measured(4, 1).values():
        assert list(row) == ["median ms", "worst ms", "slow steps named"]
