"""Cancelled at every step, pools leave no task, thread, descriptor or process behind."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Literal

import pytest

from aconcur.parallel import open_pool
from aconcur.testing import cancel_everywhere
from tests.support import parallel_tasks as tasks

# A worker that is killed in the middle of its start takes a moment to go on a busy machine.
_GRACE = 2.0


async def numbers() -> AsyncIterator[int]:
    yield 1
    yield 2


async def scenario() -> None:
    async with open_pool(1, start="fork") as pool:
        async for _ in pool.map(tasks.square, numbers(), timeout=60):
            pass
        # Long enough for a thread.
        assert len(await pool.run(tasks.blob, 1 << 18)) == 1 << 18


@pytest.mark.parametrize(
    ("backend", "how", "twice"),
    [("asyncio", "native", True), ("uvloop", "scope", False), ("trio", "scope", True)],
)
def test_a_cancelled_pool_leaves_nothing(
    backend: Literal["asyncio", "uvloop", "trio"], how: Literal["native", "scope"], twice: bool
) -> None:
    found = cancel_everywhere(
        scenario, backend=backend, how=how, twice=twice, grace=_GRACE, limit=20
    )
    found.check()
