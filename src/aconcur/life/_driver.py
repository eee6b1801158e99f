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
from math import inf
from threading import Event, Lock
from time import perf_counter
from typing import Final, TypeVar, cast, final

import anyio
import anyio.to_thread
from anyio.lowlevel import (
    cancel_shielded_checkpoint,
    checkpoint,
    checkpoint_if_cancelled,
)

from aconcur._core.shielded import run_in_thread_to_end
from aconcur.life._engines.base import Engine, PausingEngine
from aconcur.life._engines.compilation import Compilation, ensure_compiled

T = TypeVar("T")

# Seconds on the loop at a time. A sleeping task wakes up to two budgets late: its timer may become
# due just after a round of the loop has begun, and the chunk of the next round comes first.
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
        slow: whether the first step may take so long that a thread must do it.
        make_is_slow: whether ``make`` may.
        compilation: the kernels to compile first, or None.
    """

    __slots__ = (
        "_chunk",
        "_compilation",
        "_cost",
        "_engine",
        "_make",
        "_make_is_slow",
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
        make_is_slow: bool = False,
        compilation: Compilation | None = None,
    ) -> None:
        self._make, self._slow, self._compilation = make, slow, compilation
        self._make_is_slow = make_is_slow
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
            engine = await self._in_thread(self._make) if self._make_is_slow else self._make()
            # isinstance() with the protocol would compute the engine's population.
            self._pauses = hasattr(engine, "step_within")
            self._engine = engine
        return self._engine

    async def advance_to(self, number: int, look: Callable[[Engine], T]) -> T:
        """Advance until ``number`` generations have been done in all; return a look at the last.

        Args:
            number: the generation; not below :attr:`number`.
            look: takes a value from the engine, in the thread that computed the generation: its
                cells are in the cache of that thread's processor.

        **Cancelled**: :attr:`number` says how far it came; the next call continues from there.
        """
        engine = self._engine or await self.engine()
        # The clock is read once a chunk: the end of one chunk is the begin of the next.
        now = perf_counter()
        while True:
            if now - self._since >= BUDGET:
                await _let_others_run()
                self._since = now = perf_counter()
            left = number - self.number
            if left <= 0:
                return look(engine)
            if self._is_for_thread(engine, left):
                seen = await self._in_thread(partial(self._batch, engine, number, look))
                self._since = now = perf_counter()
                if seen:
                    return seen[0]
            else:
                now = self._advance(engine, left, INLINE if engine.nogil else BUDGET, now)

    def _batch(self, engine: Engine, number: int, look: Callable[[Engine], T]) -> list[T]:
        """Advance for about BATCH seconds; return a look at the generation if it is reached."""
        now = perf_counter()
        until = now + BATCH
        while self.number < number and now < until:
            now = self._advance(engine, number - self.number, BATCH, now, until)
        return [look(engine)] if self.number >= number else []

    def _is_for_thread(self, engine: Engine, left: int) -> bool:
        if self._slow:
            return True
        if self._pauses:
            return engine.nogil and self._cost > INLINE
        if engine.nogil:
            return self._cost * left > INLINE
        return self._cost > TOO_LONG_TO_HOLD

    def _advance(
        self, engine: Engine, left: int, seconds: float, began: float, until: float = inf
    ) -> float:
        """Advance by a chunk of about so many seconds, or less until a time; return its end."""
        if self._pauses:
            seconds = min(seconds, until - began)
            self.number += cast("PausingEngine", engine).step_within(left, seconds)
            over = perf_counter()
            self._cost = over - began
        else:
            chunk = self._chunk
            count = min(left, chunk)
            if self._cost * count > until - began:
                count = max(1, int((until - began) / self._cost))
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


async def _let_others_run() -> None:
    """Give way to the event loop long enough for a timer that is due to wake its task.

    On asyncio that takes two rounds: one to notice that the timer is due, one to run the task.
    """
    await checkpoint()
    await cancel_shielded_checkpoint()


def _wait_for(event: Event) -> None:
    event.wait()
