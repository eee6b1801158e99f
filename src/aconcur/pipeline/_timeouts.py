"""Time limits of calls: one task watches all workers of a stage.

``anyio.fail_after`` makes a scope and a timer for each call, ``asyncio.timeout`` a timer. Here each
worker has one cancel scope for all its calls, replaced only after it was cancelled, and one task
looks at the start times of all workers. So a call pays for one look at the clock.

Rule 1: a call is given its time and no more.
Rule 2: the limit is a cancel scope on both back-ends, never ``Task.cancel()``: what the function
has shielded, and a thread that anyio waits for, is not cut short.
Rule 3: a cancellation from outside counts more than a limit that expires at the same time.
"""

from __future__ import annotations

__all__ = ("Deadline", "Deadlines", "loop_clock")

import asyncio
from collections.abc import Awaitable, Callable
from math import inf
from types import TracebackType
from typing import Any, Self, TypeAlias, final

import anyio

from aconcur._core.wait_queue import in_trio

Call: TypeAlias = Callable[[Any], Awaitable[Any]]


@final
class Deadline:
    """The time limit of one worker's calls. Enter it in the worker's task.

    Args:
        seconds: for one call.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._clock: Callable[[], float] = loop_clock()
        self._started, self._expired = inf, False
        self._scope = anyio.CancelScope()

    def __enter__(self) -> Self:
        self._scope.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._started = inf
        self._scope.__exit__(kind, error, traceback)

    def before(self, call: Call) -> Call:
        """Return the call with its limit; the worker calls stop() before it waits itself."""
        clock = self._clock

        def timed(item: Any) -> Awaitable[Any]:  # noqa: ANN401
            if self._expired:
                self._renew()
            self._started = clock()
            return call(item)

        return timed

    def around(self, call: Call) -> Call:
        """Return the call with its limit; stop() is called when it returns."""
        begin = self.before(call)

        async def timed(item: Any) -> Any:  # noqa: ANN401
            result = await begin(item)
            self.stop()
            return result

        return timed

    def stop(self) -> None:
        """Note that no call runs."""
        self._started = inf
        if self._expired:
            self._renew()

    def translate(self, error: BaseException) -> BaseException:
        """Return the error of a call: a TimeoutError if its limit has expired."""
        self._started = inf
        if not self._expired or not self._end_scope(error):
            return error
        late = TimeoutError(f"no result after {self._seconds} s")
        late.__cause__ = error
        return late

    def check(self, now: float) -> float:
        """Cancel a call that is due; return the seconds until the next one can be."""
        left = self._started + self._seconds - now
        if left <= 0 and not self._expired:
            self._expired = True
            self._scope.cancel()
        return min(left, self._seconds) if left > 0 else self._seconds

    def _renew(self) -> None:
        """Forget a cancellation to which the call did not respond in time."""
        self._scope.__exit__(None, None, None)
        self._open()

    def _end_scope(self, error: BaseException) -> bool:
        """End the scope; return whether the error is its cancellation and no other."""
        try:
            caught = self._scope.__exit__(type(error), error, error.__traceback__)
        except BaseException:  # noqa: ASYNC103, BLE001 - the rest of the error's group
            caught = False
        self._open()
        # An outer scope that was cancelled too counts more.
        return bool(caught) and anyio.current_effective_deadline() != -inf

    def _open(self) -> None:
        self._expired = False
        self._scope = anyio.CancelScope()
        self._scope.__enter__()


def loop_clock() -> Callable[[], float]:
    """Return the clock of the running loop."""
    if in_trio():
        from trio.lowlevel import current_clock

        return current_clock().current_time
    return asyncio.get_running_loop().time


@final
class Deadlines:
    """The time limits of the workers of one stage.

    Args:
        seconds: for one call.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._workers: list[Deadline] = []

    def for_worker(self) -> Deadline:
        """Return a worker's limit, in the worker's task."""
        deadline = Deadline(self._seconds)
        self._workers.append(deadline)
        return deadline

    async def watch(self) -> None:
        """Cancel the calls whose time is over, until cancelled."""
        while True:
            now = anyio.current_time()
            due = [deadline.check(now) for deadline in self._workers]
            # A call that starts from here on is not due before.
            await anyio.sleep(min(due, default=self._seconds))
