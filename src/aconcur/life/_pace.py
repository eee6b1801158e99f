"""Living many generations on an event loop without holding it up.

Rule: whoever runs beside gets its turn about every millisecond, and a cancellation its way within
three hundredths of a second, however long a generation or a leap takes.
"""

from __future__ import annotations

__all__ = ("Driver",)

from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import Final, TypeVar, cast, final

import anyio
from anyio.lowlevel import checkpoint, checkpoint_if_cancelled

from aconcur._core.waiting import in_worker_thread
from aconcur.life._compiling import Compilation, compiled
from aconcur.life._engine import Engine, PausingEngine

T = TypeVar("T")

# Seconds. Measured: a task that sleeps beside wakes two to three budgets late.
BUDGET: Final = 0.001
# What is over sooner than this is not worth a thread's time to come and go: 0.1 ms.
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
        while True:
            # The clock is looked at once a chunk: others are due, or the chunk begins now.
            now = perf_counter()
            if now - self._since >= BUDGET:
                await checkpoint()
                self._since = now = perf_counter()
            left = number - self.number
            if left <= 0:
                return engine
            if self._is_for_thread(engine, left):
                await self._in_thread(partial(self._live, engine, left, BATCH, now))
                self._since = perf_counter()
            else:
                self._live(engine, left, INLINE if engine.nogil else BUDGET, now)

    def _is_for_thread(self, engine: Engine, left: int) -> bool:
        if self._slow:
            return True
        if self._pauses:
            return engine.nogil and self._cost > INLINE
        if engine.nogil:
            return self._cost * left > INLINE
        return self._cost > TOO_LONG_TO_HOLD

    def _live(self, engine: Engine, left: int, seconds: float, began: float) -> None:
        if self._pauses:
            self.number += cast("PausingEngine", engine).step_within(left, seconds)
            self._cost = perf_counter() - began
        else:
            lived = min(left, self._chunk)
            engine.step(lived)
            self.number += lived
            self._cost = (perf_counter() - began) / lived
            self._chunk = max(1, min(2 * lived, int(seconds / max(self._cost, 1e-9))))
        # Whatever had to be compiled or loaded is there.
        self._slow = False

    async def _in_thread(self, work: Callable[[], T]) -> T:
        done: list[T] = []
        failed: list[BaseException] = []

        def run() -> None:
            try:
                done.append(work())
            except BaseException as error:  # noqa: ASYNC103, BLE001 - raised where it is awaited
                failed.append(error)

        await in_worker_thread(run, anyio.CapacityLimiter(1))
        await checkpoint_if_cancelled()
        if failed:
            raise failed[0]
        return done[0]
