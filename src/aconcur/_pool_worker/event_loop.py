"""The event loop of a worker. It runs many coroutines at once, in a thread of its own."""

from __future__ import annotations

__all__ = ("EventLoop",)

from aconcur._pool_worker.failures import pack
from aconcur._pool_worker.task import TaskCancelled, coroutine_s_chunk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeAlias

    from aconcur._pool_worker.work import Answer

    Call: TypeAlias = tuple[Any, tuple[Any, ...], dict[str, Any]]
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
        self._timeout: Any = None
        self._tasks: dict[int, Any] = {}

    def call(self, job: int, chunk: int, call: Call, timeout: float = 0) -> None:
        """Start a call.

        Args:
            job: the number of the call or map.
            chunk: the number of the chunk.
            call: a coroutine function and its arguments.
            timeout: seconds after which it is cancelled; 0: never.
        """
        if self._loop is None:
            import asyncio
            import threading

            self._loop, self._timeout = asyncio.new_event_loop(), asyncio.timeout
            threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self._loop.call_soon_threadsafe(self._begin, job, chunk, call, timeout)

    def cancel(self, chunk: int) -> None:
        """Cancel the call of a chunk, if it has not ended."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._cancel, chunk)

    def _begin(self, job: int, chunk: int, call: Call, timeout: float) -> None:
        self._tasks[chunk] = self._loop.create_task(self._run(job, chunk, call, timeout))

    def _cancel(self, chunk: int) -> None:
        if (task := self._tasks.get(chunk)) is not None:
            task.cancel()

    async def _run(self, job: int, chunk: int, call: Call, timeout: float) -> None:  # noqa: ASYNC109, ASYNC910
        function, arguments, options = call
        coroutine_s_chunk.set(chunk)
        limit = self._timeout(timeout or None)
        try:
            async with limit:
                answer: Answer = [await function(*arguments, **options)], {}
        except BaseException as error:  # noqa: BLE001 - it travels
            answer = [None], {0: pack(TaskCancelled() if limit.expired() else error)}
        finally:
            del self._tasks[chunk]
        self._reply(job, chunk, answer)
