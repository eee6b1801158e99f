"""Cancelled at every step, in every way, a queue leaves nothing and nobody behind."""

from __future__ import annotations

from typing import Literal, TypeAlias

import anyio
import pytest

from aconcur.pipeline import Queue, QueueClosed
from aconcur.testing import cancel_everywhere

Backend: TypeAlias = Literal["asyncio", "uvloop", "trio"]


class Ledger:
    """Drives a queue; ``balance`` holds after any cancellation."""

    queue: Queue[int]

    async def run(self) -> None:
        self.queue = queue = Queue[int](1)
        self.came: list[int] = []

        async def produce() -> None:
            with queue.producer():
                await queue.put(0)
                await queue.put_many([1, 2])

        async def consume() -> None:
            self.came.append(await queue.get())
            queue.task_done()
            try:
                while True:
                    self.came += await queue.get_many()
                    queue.task_done()
            except QueueClosed:
                pass

        async with anyio.create_task_group() as group:
            group.start_soon(produce)
            group.start_soon(consume)
            await queue.join()

    def balance(self) -> None:
        found = self.queue.statistics()
        assert found.got == len(self.came)
        assert self.came == list(range(len(self.came)))
        assert (found.waiting_to_get, found.waiting_to_put) == (0, 0)
        if found.size:
            assert self.queue.get_nowait() == len(self.came)


@pytest.mark.parametrize("backend", ["asyncio", "uvloop", "trio"])
def test_cancelled_at_every_step(backend: Backend) -> None:
    ledger = Ledger()
    cancel_everywhere(ledger.run, backend=backend, invariant=ledger.balance, grace=1.0).check()
