"""The event loop of a worker. It runs many coroutines at once, in a thread of its own."""

from __future__ import annotations

__all__ = ("EventLoop",)

from aconcur._pool_worker.failures import pack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeAlias

    from aconcur._pool_worker.work import Answer

    Reply: TypeAlias = Callable[[int, int, Answer], None]


class EventLoop:
    """Runs coroutine functions. Its thread starts with the first of them.

    Args:
        reply: called in the loop's thread with the numbers of a call and of its chunk, and its
            answer.
    """

    def __init__(self, reply: Reply) -> None:
        self._reply = reply
        self._loop: Any = None
        self._tasks: dict[int, Any] = {}

    def call(self, job: int, chunk: int, call: tuple[Any, tuple[Any, ...], dict[str, Any]]) -> None:
        """Start a call."""
        if self._loop is None:
            import asyncio
            import threading

            self._loop = asyncio.new_event_loop()
            threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self._loop.call_soon_threadsafe(self._begin, job, chunk, call)

    def cancel(self, job: int) -> None:
        """Cancel a call, if it has not ended."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._cancel, job)

    def _begin(self, job: int, chunk: int, call: Any) -> None:  # noqa: ANN401
        self._tasks[job] = self._loop.create_task(self._run(job, chunk, call))

    def _cancel(self, job: int) -> None:
        if (task := self._tasks.get(job)) is not None:
            task.cancel()

    async def _run(self, job: int, chunk: int, call: Any) -> None:  # noqa: ANN401, ASYNC910
        function, arguments, options = call
        try:
            answer: Answer = [await function(*arguments, **options)], {}
        except BaseException as error:  # noqa: BLE001 - it travels
            answer = [None], {0: pack(error)}
        finally:
            del self._tasks[job]
        self._reply(job, chunk, answer)
