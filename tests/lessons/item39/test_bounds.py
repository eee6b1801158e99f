"""All versions that are compared have queues of the same bound."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from aconcur.lessons.item39_queue import original, rebuilt, toolkit
from aconcur.lessons.item39_queue.work import BUFFER

pytestmark = pytest.mark.timeout(60)


class Counted:
    """Items of which it is known how many have been taken."""

    def __init__(self, size: int) -> None:
        self.size, self.taken = size, 0

    def __iter__(self) -> Iterator[int]:
        for item in range(self.size):
            self.taken += 1
            yield item


async def ahead_of_tasks(run: object) -> int:
    """Return how many items were taken before the first came out of one stage."""
    items = Counted(200)
    most = 0

    async def job(item: int) -> int:
        nonlocal most
        most = max(most, items.taken - item)
        return item

    await run(items, [(job, 1)])  # type: ignore[operator]
    return most


@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
async def test_no_version_takes_more_than_its_places_ahead() -> None:
    items = Counted(200)
    most = 0

    def job(item: int) -> int:
        nonlocal most
        most = max(most, items.taken - item)
        return item

    original.run(items, [(job, 1)])
    # One item is in the worker's hands, one waits in put(): twice one more than the places.
    for ahead in (
        most,
        await ahead_of_tasks(rebuilt.run),
        await ahead_of_tasks(toolkit.run),
    ):
        assert ahead <= BUFFER + 2


@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
async def test_the_stages_that_do_nothing_have_the_same_places(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    items = Counted(200)
    most = 0

    async def same(item: int) -> int:
        nonlocal most
        most = max(most, items.taken - item)
        return item

    monkeypatch.setattr(toolkit, "same", same)
    assert await toolkit.passed_along(items) == list(range(200))
    # Three stages of one worker: each has its places and one item in hand.
    assert most <= 3 * (BUFFER + 1) + 1
