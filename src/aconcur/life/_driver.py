"""Advance an engine on an event loop without blocking it.

The promise: other tasks run about once a millisecond, and a cancellation takes effect within 30 ms,
however many generations are asked for. An exception is a single generation that takes longer.

How it is kept. The driver advances the engine in *chunks* and measures each one:

* On the loop, while a chunk takes less than about a millisecond: the driver doubles or shortens the
  number of generations to fit, and yields to the loop between chunks. Short work stays on the loop
  because a thread costs about 0.1 ms to start and finish.
* In a thread, if the engine releases the GIL and the rest of the work takes longer than that, or if
  a single generation of an engine that holds the GIL takes more than 5 ms, the interpreter's switch
  interval. A batch in a thread takes about 15 ms, after which a cancellation is seen.
* HashLife decides itself when to stop (``step_within``), because a leap cannot be cut into
  generations.

Invariants: ``number`` counts the generations done, also after a cancellation or an error, and the
next call continues there. Only one thread works on the engine at a time: a cancelled call waits for
its batch to end before it raises. Importing and compiling run in a separate thread, for which
a cancelled call does not wait (``_engines.compilation``).
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
from aconcur.life._engines.base import Engine, PausingEngine
from aconcur.life._engines.compilation import Compilation, ensure_compiled

T = TypeVar("T")

# Seconds on the loop at a time. A sleeping task wakes up to three budgets late: on asyncio a timer
# takes two rounds of the loop, and each may begin with a chunk.
BUDGET: Final = 0.0007
# Shorter work stays on the loop: a thread takes 0.1 ms to start and finish. Measured.
INLINE: Final = 0.0005
# Seconds in a thread at a time: a cancellation waits for the end of a batch.
BATCH: Final = 0.015
# In a thread, an engine that holds the GIL gives it up every 5 ms (sys.getswitchinterval). That
# helps only if a single generation takes longer.
TOO_LONG_TO_HOLD: Final = 0.005


@final
class Driver:
    """Advances one engine, on the loop or in a thread.

    Args:
        make: makes the engine, or returns an existing one.
        slow: whether ``make``, or the first step, takes so long that a thread must do it.
        compilation: the kernels to compile first, or None.
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
        """The number of generations done so far."""

    async def engine(self) -> Engine:
        """Return the engine; make it at the first call."""
        if self._engine is None:
            if self._compilation is not None:
                await ensure_compiled(self._compilation)
            engine = await self._in_thread(self._make) if self._slow else self._make()
            # isinstance() with the protocol would compute the engine's population.
            self._pauses = hasattr(engine, "step_within")
            self._engine = engine
        return self._engine

    async def advance_to(self, number: int) -> Engine:
        """Advance until ``number`` generations have been done in all; return the engine.

        **Cancelled**: :attr:`number` says how far it came; the next call continues from there.
        """
        engine = self._engine or await self.engine()
        # The clock is read once a chunk: the end of one chunk is the begin of the next.
        now = perf_counter()
        while True:
            if now - self._since >= BUDGET:
                await checkpoint()
                self._since = now = perf_counter()
            left = number - self.number
            if left <= 0:
                return engine
            if self._is_for_thread(engine, left):
                await self._in_thread(partial(self._advance, engine, left, BATCH, now))
                self._since = now = perf_counter()
            else:
                now = self._advance(engine, left, INLINE if engine.nogil else BUDGET, now)

    def _is_for_thread(self, engine: Engine, left: int) -> bool:
        if self._slow:
            return True
        if self._pauses:
            return engine.nogil and self._cost > INLINE
        if engine.nogil:
            return self._cost * left > INLINE
        return self._cost > TOO_LONG_TO_HOLD

    def _advance(self, engine: Engine, left: int, seconds: float, began: float) -> float:
        """Advance by a chunk; return the time at its end."""
        if self._pauses:
            self.number += cast("PausingEngine", engine).step_within(left, seconds)
            over = perf_counter()
            self._cost = over - began
        else:
            chunk = self._chunk
            count = min(left, chunk)
            engine.step(count)
            over = perf_counter()
            self.number += count
            cost = self._cost = (over - began) / count
            if cost * chunk > seconds or count == chunk:
                self._chunk = max(1, min(2 * count, int(seconds / max(cost, 1e-9))))
        # The first step is done, so everything is compiled and loaded.
        self._slow = False
        return over

    async def _in_thread(self, work: Callable[[], T]) -> T:
        """Do work in a thread, and return or raise only when the thread has finished."""
        claim, over = Lock(), Event()
        done: list[T] = []
        failed: list[BaseException] = []

        def run() -> None:
            if claim.acquire(blocking=False):
                try:
                    done.append(work())
                except BaseException as error:  # noqa: ASYNC103, BLE001 - raised in the waiting task
                    failed.append(error)
                finally:
                    over.set()

        try:
            await anyio.to_thread.run_sync(run, limiter=anyio.CapacityLimiter(1))
        except anyio.get_cancelled_exc_class():
            # Task.cancel() ignores anyio's shields. run_in_thread_to_end() withstands it, but at
            # twice the cost; so it is used only here, and only if the thread has begun, for one
            # batch.
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
