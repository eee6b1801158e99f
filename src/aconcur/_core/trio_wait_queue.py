"""The part of parking that needs trio: imported only where trio runs."""

from __future__ import annotations

__all__ = ("TrioWaiter",)

from collections.abc import AsyncGenerator, Generator
from typing import Any, Final, final

import outcome
import trio


@final
class _Woken(outcome.Outcome[bool]):
    """What a task goes on with. Unlike an ``outcome.Value`` it serves any number of times."""

    def __init__(self, result: bool) -> None:
        self._result = result

    def unwrap(self) -> bool:
        return self._result

    def send(self, gen: Generator[Any, bool, Any]) -> Any:  # noqa: ANN401
        return gen.send(self._result)

    async def asend(self, agen: AsyncGenerator[Any, bool]) -> Any:  # noqa: ANN401
        return await agen.asend(self._result)


_WOKEN: Final = (_Woken(False), _Woken(True))


def _at_once(result: bool) -> Generator[Any, Any, bool]:
    return result
    yield


@final
class TrioWaiter:
    """A future for one task of trio, which may be woken before it awaits this."""

    __slots__ = ("_cancelled", "_done", "_result", "_task")

    def __init__(self) -> None:
        self._task: trio.lowlevel.Task | None = None
        self._done = self._cancelled = self._result = False

    def __await__(self) -> Generator[Any, Any, bool]:
        if self._done:
            return _at_once(self._result)
        self._task = trio.lowlevel.current_task()
        # Not "yield from": that would be one frame more to go through at each end.
        return trio.lowlevel.wait_task_rescheduled(self._abort).__await__()  # noqa: ASYNC105

    def _abort(self, _: object) -> trio.lowlevel.Abort:
        self._done = self._cancelled = True
        return trio.lowlevel.Abort.SUCCEEDED

    def done(self) -> bool:
        """Return whether it was woken or cancelled."""
        return self._done

    def cancelled(self) -> bool:
        """Return whether it was cancelled before it was woken."""
        return self._cancelled

    def result(self) -> bool:
        """Return what it was woken with."""
        return self._result

    def set_result(self, result: bool, /) -> None:
        """Wake the task. Nothing can cancel it between this and its next step."""
        assert not self._done
        self._done, self._result = True, result
        if self._task is not None:
            trio.lowlevel.reschedule(self._task, _WOKEN[result])
