"""The parts of parking that need trio: imported only where trio runs."""

from __future__ import annotations

__all__ = ("TrioWaiter", "trio_soon_caller")

from collections.abc import Callable, Generator
from typing import Any, final

import outcome
import trio


@final
class TrioWaiter:
    """A future for one task of trio. Await it in the step that made it."""

    __slots__ = ("_cancelled", "_result", "_task")

    def __init__(self) -> None:
        self._task: trio.lowlevel.Task | None = trio.lowlevel.current_task()
        self._cancelled = self._result = False

    def __await__(self) -> Generator[Any, Any, bool]:
        waiting = trio.lowlevel.wait_task_rescheduled(self._abort)  # noqa: ASYNC105 - awaited below
        yield from waiting.__await__()
        return self._result

    def _abort(self, _: object) -> trio.lowlevel.Abort:
        self._task, self._cancelled = None, True
        return trio.lowlevel.Abort.SUCCEEDED

    def done(self) -> bool:
        """Return whether it was woken or cancelled."""
        return self._task is None

    def cancelled(self) -> bool:
        """Return whether it was cancelled before it was woken."""
        return self._cancelled

    def result(self) -> bool:
        """Return what it was woken with."""
        return self._result

    def set_result(self, result: bool, /) -> None:
        """Wake the task. Nothing can cancel it between this and its next step."""
        task, self._task, self._result = self._task, None, result
        assert task is not None
        trio.lowlevel.reschedule(task, outcome.Value(result))


def trio_soon_caller() -> Callable[[Callable[[], object]], None]:
    """Return what calls a function soon in this run of trio, from any thread."""
    token = trio.lowlevel.current_trio_token()

    def call_soon(function: Callable[[], object]) -> None:
        try:
            token.run_sync_soon(function)
        except trio.RunFinishedError as error:
            raise RuntimeError("this run of trio has ended") from error

    return call_soon
