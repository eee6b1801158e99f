"""The parts of parking that need trio: imported only where trio runs."""

from __future__ import annotations

__all__ = ("TrioWaiter", "trio_soon_caller")

from collections.abc import AsyncGenerator, Callable, Generator
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


@final
class TrioWaiter:
    """A future for one task of trio. Await it in the step that made it."""

    __slots__ = ("_cancelled", "_result", "_task")

    def __init__(self) -> None:
        self._task: trio.lowlevel.Task | None = trio.lowlevel.current_task()
        self._cancelled = self._result = False

    def __await__(self) -> Generator[Any, Any, bool]:
        # Not "yield from": that would be one frame more to go through at each end.
        return trio.lowlevel.wait_task_rescheduled(self._abort).__await__()  # noqa: ASYNC105

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
        trio.lowlevel.reschedule(task, _WOKEN[result])


def trio_soon_caller() -> Callable[[Callable[[], object]], None]:
    """Return what calls a function soon in this run of trio, from any thread."""
    token = trio.lowlevel.current_trio_token()

    def call_soon(function: Callable[[], object]) -> None:
        try:
            token.run_sync_soon(function)
        except trio.RunFinishedError as error:
            raise RuntimeError("this run of trio has ended") from error

    return call_soon
