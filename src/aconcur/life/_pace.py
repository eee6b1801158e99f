"""Living many generations on an event loop without holding it up.

Rule: whoever runs beside gets its turn about every millisecond, and a cancellation its way within
three hundredths of a second, however long a generation or a leap takes.
"""

from __future__ import annotations

__all__ = ("Driver",)

from collections.abc import Callable
from functools import partial
from threading import Event, Lock
from time import perf_counter
from typing import Final, TypeVar, cast, final

import anyio
import anyio.to_thread
from anyio.lowlevel import checkpoint, checkpoint_if_cancelled

from aconcur._core.shielded import run_in_thread_to_end
from aconcur.life._compiling import Compilation, compiled
from aconcur.life._engine import Engine, PausingEngine

T = TypeVar("T")

# Seconds. A task that sleeps beside wakes up to three budgets late: on asyncio a timer needs two
# rounds of the loop, and either may begin with a chunk.
BUDGET: Final = 0.0007
# What is over sooner than this is not worth a thread's time to come and go: 0.1 ms, measured.
INLINE: Final = 0.0005
# How long a thread works before it looks whether somebody has cancelled.
BATCH: Final = 0.015
# An engine that holds the GIL lets others in every 5 ms (sys.getswitchinterval) in a thread. Worth
# it only where a single generation takes longer than that.
TOO_LONG_TO_HOLD: Final = 0.005


@final
class Driver:
    """Lives one engine's generations, on the loop or in a thread.

    Args:
        make: makes the engine, or returns one that is there.
        slow: whether that, or the first step, takes so long that a thread must do it.
        compilation: what has to be compiled before, if anything has.
    """

    __slots__ = (
        "_chunk",
        "_compilation",
        "_cost",
        "_engine",
        "_make",
        "_pauses",
        "_since",
        "_slow",
        "number",
    )

    def __init__(
        self,
        make: Callable[[], Engine],
        *,
        slow: bool = False,
        compilation: Compilation | None = None,
    ) -> None:
        self._make, self._slow, self._compilation = make, slow, compilation
        self._engine: Engine | None = None
        self._pauses = False
        self._chunk = 1
        self._cost = 0.0
        self._since = perf_counter()
        self.number: int = 0
        """How many generations have been lived."""

    async def engine(self) -> Engine:
        """Return the engine, made when it is first asked for."""
        if self._engine is None:
            if self._compilation is not None:
                await compiled(self._compilation)
            engine = await self._in_thread(self._make) if self._slow else self._make()
            # isinstance() would ask the engine for its population, to see whether it has one.
            self._pauses = hasattr(engine, "step_within")
            self._engine = engine
        return self._engine

    async def live_until(self, number: int) -> Engine:
        """Live on until so many generations have been lived in all; return the engine.

        **Cancelled**: :attr:`number` tells how far it came, and the next call goes on from there.
        """
        engine = self._engine or await self.engine()
        # The clock is looked at once a chunk: others are due, or the next chunk begins now.
        now = perf_counter()
        while True:
            if now - self._since >= BUDGET:
                await checkpoint()
                self._since = now = perf_counter()
            left = number - self.number
            if left <= 0:
                return engine
            if self._is_for_thread(engine, left):
                await self._in_thread(partial(self._live, engine, left, BATCH, now))
                self._since = now = perf_counter()
            else:
                now = self._live(engine, left, INLINE if engine.nogil else BUDGET, now)

    def _is_for_thread(self, engine: Engine, left: int) -> bool:
        if self._slow:
            return True
        if self._pauses:
            return engine.nogil and self._cost > INLINE
        if engine.nogil:
            return self._cost * left > INLINE
        return self._cost > TOO_LONG_TO_HOLD

    def _live(self, engine: Engine, left: int, seconds: float, began: float) -> float:
        """Live a chunk, and return when it was over."""
        if self._pauses:
            self.number += cast("PausingEngine", engine).step_within(left, seconds)
            over = perf_counter()
            self._cost = over - began
        else:
            chunk = self._chunk
            lived = min(left, chunk)
            engine.step(lived)
            over = perf_counter()
            self.number += lived
            cost = self._cost = (over - began) / lived
            if cost * chunk > seconds or lived == chunk:
                self._chunk = max(1, min(2 * lived, int(seconds / max(cost, 1e-9))))
        # Whatever had to be compiled or loaded is there.
        self._slow = False
        return over

    async def _in_thread(self, work: Callable[[], T]) -> T:
        """Work in a thread, which has come to its end when this has, whoever cancels."""
        claim, over = Lock(), Event()
        done: list[T] = []
        failed: list[BaseException] = []

        def run() -> None:
            if claim.acquire(blocking=False):
                try:
                    done.append(work())
                except BaseException as error:  # noqa: ASYNC103, BLE001 - raised where it is awaited
                    failed.append(error)
                finally:
                    over.set()

        try:
            await anyio.to_thread.run_sync(run, limiter=anyio.CapacityLimiter(1))
        except anyio.get_cancelled_exc_class():
            # Task.cancel() passes through a shield. run_in_thread_to_end() would stop it, at twice
            # the cost, so wait only here, and only if the thread has begun: at most one batch.
            if not claim.acquire(blocking=False):
                waiting = partial(_wait_for, over)
                await run_in_thread_to_end(waiting, anyio.CapacityLimiter(1))  # noqa: ASYNC102
            raise
        await checkpoint_if_cancelled()
        if failed:
            raise failed[0]
        return done[0]


def _wait_for(event: Event) -> None:
    event.wait()
