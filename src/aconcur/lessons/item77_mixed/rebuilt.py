"""All tasks: the goal, and the two steps on the way.

From above: the program is async already, the old functions
run in threads. From below: the function is async already,
the old threads call it through a loop in a thread.
"""

from __future__ import annotations

__all__ = (
    "LoopThread",
    "from_above",
    "from_below",
    "run",
)

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from threading import Thread
from types import TracebackType
from typing import Any, Self, TypeVar

from aconcur.lessons.alone import alone
from aconcur.lessons.item77_mixed.original import THREADS
from aconcur.lessons.item77_mixed.work import (
    lookup,
    lookup_async,
    words,
)

T = TypeVar("T")


async def run(inputs: list[str]) -> list[int]:
    """Look all words up.

    **Cancelled**: all lookups have ended.
    """
    async with asyncio.TaskGroup() as group:
        found = [
            group.create_task(lookup_async(word))
            for word in inputs
        ]
    return [task.result() for task in found]


async def from_above(inputs: list[str]) -> list[int]:
    """Look all words up by the old function.

    **Cancelled**: lookups that run in a thread go on there;
    leaving the pool waits for them.
    """
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(THREADS) as pool:
        return await asyncio.gather(
            *(
                loop.run_in_executor(pool, lookup, word)
                for word in inputs
            )
        )


class LoopThread:
    """An event loop that runs in a thread of its own."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = Thread(target=self.loop.run_forever)

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()

    def call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the loop; block for it."""
        future = asyncio.run_coroutine_threadsafe(
            coroutine, self.loop
        )
        return future.result()


def from_below(inputs: list[str]) -> list[int]:
    """Look all words up from the old threads."""
    with (
        LoopThread() as aside,
        ThreadPoolExecutor(THREADS) as pool,
    ):
        found = pool.map(
            lambda word: aside.call(lookup_async(word)),
            inputs,
        )
        return list(found)


async def main(size: int) -> None:
    """Look some words up."""
    with words(size, seed=77) as (inputs,):
        print(f"{size} words, sum {sum(await run(inputs))}")


if __name__ == "__main__":
    with alone(
        __file__, __doc__, size=100, unit="words"
    ) as size:
        asyncio.run(main(size))
