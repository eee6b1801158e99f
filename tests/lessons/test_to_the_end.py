"""What cannot be stopped is waited for, however often the one who waits is cancelled."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest

from aconcur.lessons.to_the_end import to_the_end

pytestmark = pytest.mark.asyncio_only


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_it_returns_what_the_work_returns() -> None:
    work: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    waiting = asyncio.create_task(to_the_end(work))
    await turns()
    assert not waiting.done()
    work.set_result(7)
    assert await waiting == 7


async def test_it_raises_what_the_work_raises() -> None:
    work: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    work.set_exception(LookupError("no luck"))
    with pytest.raises(LookupError, match="no luck"):
        await to_the_end(work)


@pytest.mark.parametrize("times", [1, 2, 3])
@pytest.mark.parametrize("end", ["result", "error", "cancelled"])
async def test_cancelled_it_waits_and_hides_no_work(times: int, end: str) -> None:
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, said: complaints.append(said))
    work: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    waiting = asyncio.create_task(to_the_end(work))
    await turns()
    for _ in range(times):
        waiting.cancel()
        await turns()
        assert not waiting.done()
        assert not work.done()
    if end == "result":
        work.set_result(7)
    elif end == "error":
        work.set_exception(LookupError("nobody hears this"))
    else:
        work.cancel()
    await asyncio.wait([waiting])
    assert waiting.cancelled()
    del work
    gc.collect()
    assert complaints == []
