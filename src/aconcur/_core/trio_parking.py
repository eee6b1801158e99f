"""The part of parking that needs trio: imported only where trio runs."""

from __future__ import annotations

__all__ = ("TrioWaiter",)

from collections.abc import Generator
from typing import Any, final

import outcome
import trio


@final
class TrioWaiter:
    """A future for one task of trio, which may be woken before it awaits this."""

    __slots__ = ("_cancelled", "_done", "_result", "_task")

    def __init__(self) -> None:
        self._task: trio.lowlevel.Task | None = None
        self._done = self._cancelled = self._result = False

    def __await__(self) -> Generator[Any, Any, bool]:
        if not self._done:
            self._task = trio.lowlevel.current_task()
            waiting = trio.lowlevel.wait_task_rescheduled(self._abort)  # noqa: ASYNC105 - awaited below
            yield from waiting.__await__()
        return self._result

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
            trio.lowlevel.reschedule(self._task, outcome.Value(result))
