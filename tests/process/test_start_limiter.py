"""Starts take their turn; who is cancelled in line waits for nobody."""

from __future__ import annotations

from threading import Event, Timer
from typing import cast

import anyio

from aconcur.process._spawn import Started, start_in_turn
from tests.support.states import until


class FakeStart:
    """Stands for a group of processes."""

    def __init__(self) -> None:
        self.aborted = False

    def abort(self) -> None:
        self.aborted = True


async def test_who_is_cancelled_in_line_starts_nothing_and_waits_for_nobody() -> None:
    go_on, begun = Event(), list[FakeStart]()

    def start() -> Started:
        begun.append(started := FakeStart())
        if len(begun) > 1:
            go_on.wait()
        return cast(Started, started)

    async def run() -> None:
        await start_in_turn(start)

    give_up = Timer(20, go_on.set)
    give_up.start()
    await run()  # alone: inline; as long as it runs others start in threads, two at a time
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(run)
            group.start_soon(run)
            await until(lambda: len(begun) >= 3)
            with anyio.CancelScope() as scope:
                group.start_soon(_cancel, scope)
                await start_in_turn(start)
            assert scope.cancelled_caught
            assert not go_on.is_set(), "it waited for its turn"
            assert len(begun) == 3
            go_on.set()
    finally:
        go_on.set()
        give_up.cancel()
        give_up.join()
    assert not any(started.aborted for started in begun)


async def _cancel(scope: anyio.CancelScope) -> None:
    await anyio.wait_all_tasks_blocked()
    scope.cancel()
