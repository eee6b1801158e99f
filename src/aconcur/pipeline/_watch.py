"""Time limits of calls: one task watches all workers of a stage.

A call pays for a look at the clock. ``asyncio.timeout`` makes a timer for each call, and trio's
``fail_after`` a scope. Here a worker has one scope for all its calls, until it was cancelled.

Rule 1: a call is given its time and no more.
Rule 2: who else cancels the worker counts more.
"""

from __future__ import annotations

__all__ = ("NO_LIMIT", "Hand", "Watch")

import asyncio
from abc import abstractmethod
from collections.abc import Awaitable, Callable
from math import inf
from types import TracebackType
from typing import Any, Final, Protocol, Self, TypeAlias, final

import anyio

from aconcur._core.wait_queue import in_trio

Call: TypeAlias = Callable[[Any], Awaitable[Any]]


class Hand(Protocol):
    """One worker, as far as its calls have a time limit."""

    def before(self, call: Call) -> Call:
        """Return what does the same in its time; the worker says stop() before it waits."""

    def around(self, call: Call) -> Call:
        """Return what does the same in its time, and needs no stop()."""

    def stop(self) -> None:
        """Note that no call runs."""

    def judged(self, error: BaseException) -> BaseException:
        """Return what a call's error is: a TimeoutError if its time was over."""

    def __enter__(self) -> Self:
        """Begin to work, in the worker's task."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End."""


@final
class _NoLimit:
    """A worker whose calls take as long as they take."""

    def before(self, call: Call) -> Call:
        return call

    around = before

    def stop(self) -> None:
        pass

    def judged(self, error: BaseException) -> BaseException:
        return error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


NO_LIMIT: Final[Hand] = _NoLimit()


class _Timed:
    """A worker whose calls have a time limit.

    Args:
        seconds: that a call may take.
        clock: the loop's.
    """

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self._seconds, self._clock = seconds, clock
        self._started, self._expired = inf, False

    def before(self, call: Call) -> Call:
        clock = self._clock

        def timed(item: Any) -> Awaitable[Any]:  # noqa: ANN401
            if self._expired:
                self._renew()
            self._started = clock()
            return call(item)

        return timed

    def around(self, call: Call) -> Call:
        begin = self.before(call)

        async def timed(item: Any) -> Any:  # noqa: ANN401
            result = await begin(item)
            self.stop()
            return result

        return timed

    def stop(self) -> None:
        self._started = inf
        if self._expired:
            self._renew()

    def judged(self, error: BaseException) -> BaseException:
        self._started = inf
        if not self._expired:
            return error
        ours = self._is_ours(error)
        self._expired = False
        if not ours:
            return error
        late = TimeoutError(f"no result after {self._seconds} s")
        late.__cause__ = error
        return late

    def due(self, now: float) -> float:
        """Cancel a call that is due; return the seconds until the next one can be."""
        left = self._started + self._seconds - now
        if left <= 0 and not self._expired:
            self._expired = True
            self._cancel()
        return min(left, self._seconds) if left > 0 else self._seconds

    def _renew(self) -> None:
        """Forget a cancellation that the call has outlived."""
        self._expired = False
        self._undo()

    @abstractmethod
    def _cancel(self) -> None: ...

    @abstractmethod
    def _undo(self) -> None: ...

    @abstractmethod
    def _is_ours(self, error: BaseException) -> bool:
        """Undo it; return whether the error is nobody else's."""

    def __enter__(self) -> Self:
        return self

    @abstractmethod
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...


@final
class _AsyncioTimed(_Timed):
    """On asyncio it is cancelled as ``asyncio.timeout`` does it."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds, asyncio.get_running_loop().time)
        task = asyncio.current_task()
        assert task is not None
        self._task = task

    def _cancel(self) -> None:
        self._task.cancel()

    def _undo(self) -> None:
        self._task.uncancel()

    def _is_ours(self, error: BaseException) -> bool:
        others = self._task.uncancel()
        return isinstance(error, asyncio.CancelledError) and not others

    def __exit__(self, *_: object) -> None:
        self.stop()


@final
class _ScopeTimed(_Timed):
    """On trio by a scope, which is another one after that."""

    def __init__(self, seconds: float) -> None:
        from trio.lowlevel import current_clock

        super().__init__(seconds, current_clock().current_time)
        self._scope = anyio.CancelScope()

    def _cancel(self) -> None:
        self._scope.cancel()

    def _undo(self) -> None:
        self._scope.__exit__(None, None, None)
        self._open()

    def _open(self) -> None:
        self._scope = anyio.CancelScope()
        self._scope.__enter__()

    def _is_ours(self, error: BaseException) -> bool:
        try:
            caught = self._scope.__exit__(type(error), error, error.__traceback__)
        except BaseException:  # noqa: ASYNC103, BLE001 - what is left of the error's group
            caught = False
        self._open()
        # Who is cancelled from outside as well is not late.
        return bool(caught) and anyio.current_effective_deadline() != -inf

    def __enter__(self) -> Self:
        self._open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._started = inf
        self._scope.__exit__(kind, error, traceback)


@final
class Watch:
    """Gives each call of a stage a time limit.

    Args:
        seconds: that a call may take.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._hands: list[_Timed] = []

    def hand(self) -> Hand:
        """Return a worker's part, in the worker's task."""
        hand = _ScopeTimed(self._seconds) if in_trio() else _AsyncioTimed(self._seconds)
        self._hands.append(hand)
        return hand

    async def watch(self) -> None:
        """Cancel what runs too long, until cancelled."""
        while True:
            now = anyio.current_time()
            due = [hand.due(now) for hand in self._hands]
            # What starts from now on is not due before.
            await anyio.sleep(min(due, default=self._seconds))
