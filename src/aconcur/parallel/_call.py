"""One call of a function in a worker: a chunk of a single item, for which a task waits."""

from __future__ import annotations

__all__ = ("Call",)

from collections.abc import Callable, Mapping
from typing import Any, final

from aconcur._core.parking import Waiter, new_waiter
from aconcur._worker.codec import Encoded
from aconcur._worker.failures import Packed
from aconcur.parallel._errors import TaskTimeout, WorkerDied
from aconcur.parallel._failing import unpack
from aconcur.parallel._job import Chunk, Death
from aconcur.parallel._options import name_of


@final
class Call:
    """A call under way; it takes a chunk's end as a :class:`Job` does."""

    def __init__(
        self,
        function: Callable[..., Any],
        arguments: tuple[Any, ...],
        message: Encoded,
        timeout: float | None,
    ) -> None:
        self.name: str = name_of(function)
        self.arguments: tuple[Any, ...] = arguments
        self.message: Encoded = message
        self.timeout: float | None = timeout
        self.chunk: Chunk = Chunk(self, 0, [arguments], exact=True)
        self.number: int = self.chunk.number
        self.open: bool = True
        self.waiting: bool = True
        self._waiter: Waiter | None = None
        self._result: Any = None
        self._error: Exception | None = None

    def finish(
        self,
        chunk: Chunk,  # noqa: ARG002 - as Job.finish
        results: list[Any],
        errors: Mapping[int, Packed | Exception],
        seconds: float,  # noqa: ARG002
        size: int,  # noqa: ARG002
    ) -> int:
        """Take the result."""
        if errors:
            self.fail(unpack(errors[0], self.name, None, self.arguments))
        elif results:
            self._result = results[0]
            self._wake()
        return 0

    def unreadable(self, chunk: Chunk, error: Exception) -> None:  # noqa: ARG002
        """Take it that the arguments or the result cannot be read."""
        self.fail(error)

    def put_back(self, chunk: Chunk) -> None:  # noqa: ARG002
        """Wait for another worker."""
        self.waiting = True

    def crashed(self, chunk: Chunk, first: int, end: int, death: Death) -> None:
        """Take it that the worker has ended."""
        if first == end and chunk.deaths < 2:
            chunk.deaths += 1
            self.waiting = True
        elif death.timed_out and self.timeout is not None:
            self.fail(TaskTimeout(self.arguments, None, self.timeout))
        else:
            self.fail(WorkerDied(self.arguments, None, death.exit_code, death.signal))

    def fail(self, error: Exception) -> None:
        """End the call with an error."""
        self._error = error
        self._wake()

    def _wake(self) -> None:
        self.open = False
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(True)

    async def answer(self) -> Any:  # noqa: ANN401 - the function's
        """Wait for the result and return it, or raise the error."""
        if self.open:
            self._waiter = new_waiter()
            await self._waiter
        error, self._error = self._error, None
        if error is not None:
            try:
                raise error
            finally:
                del error
        return self._result
