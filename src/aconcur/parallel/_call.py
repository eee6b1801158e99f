"""One call of a function in a worker: a chunk of a single item, for which a task waits."""

from __future__ import annotations

__all__ = ("Call",)

from collections.abc import Callable, Mapping
from typing import Any, Final, final

from aconcur._core.wait_queue import Waiter, make_waiter, wake
from aconcur._worker.codec import Encoded
from aconcur._worker.failures import Packed
from aconcur.parallel._chunk import Chunk, Death, new_number
from aconcur.parallel._errors import TaskTimeout, WorkerDied
from aconcur.parallel._failing import raisable, unpack
from aconcur.parallel._options import name_of

# Deaths of its worker, not seen to begin with it, after which the call is blamed.
_DEATHS: Final = 3


@final
class Call:
    """A call under way.

    Args:
        function: what is called.
        arguments: with what.
        message: both, as they are sent.
        timeout: seconds that it may take.
        again: called with it when it needs another worker.
    """

    is_quick: bool = False

    def __init__(
        self,
        function: Callable[..., Any],
        arguments: tuple[Any, ...],
        message: Encoded,
        timeout: float | None,
        again: Callable[[Call], None],
    ) -> None:
        self.number: int = new_number()
        self.name: str = name_of(function)
        self.arguments: tuple[Any, ...] = arguments
        self.message: Encoded = message
        self.timeout: float | None = timeout
        self.chunk: Chunk = Chunk(self, 0, [arguments], exact=True)
        self.open: bool = True
        self._again = again
        self._waiter: Waiter | None = None
        self._result: Any = None
        self._error: Exception | None = None

    def __repr__(self) -> str:
        return f"<Call {self.name}: {'under way' if self.open else 'ended'}>"

    def finish(
        self,
        chunk: Chunk,
        results: list[Any],
        errors: Mapping[int, Packed | Exception],
        seconds: float,  # noqa: ARG002 - as a Job's
        size: int,  # noqa: ARG002
    ) -> int:
        """Take the result. Without one the call has been called off before it began."""
        if errors:
            self.fail(raisable(unpack(errors[0], self.name, None, self.arguments)))
        elif results:
            self._result = results[0]
            self._end()
        else:
            self.put_back(chunk)
        return 1 - len(results)

    def unreadable(self, chunk: Chunk, error: Exception) -> None:  # noqa: ARG002
        """Take it that the arguments or the result cannot be read."""
        self.fail(error)

    def put_back(self, chunk: Chunk) -> None:  # noqa: ARG002
        """Wait for another worker."""
        if self.open:
            self._again(self)

    def take_back(self, chunk: Chunk, at: int) -> int:  # noqa: ARG002
        """Cut nothing off: a call is one item."""
        return 0

    def crashed(self, chunk: Chunk, first: int, end: int, death: Death) -> None:
        """Take it that the worker has ended."""
        if not self.open:
            return
        chunk.deaths += first == end
        if first == end and chunk.deaths < _DEATHS:
            self._again(self)
        elif death.timed_out and self.timeout is not None:
            self.fail(TaskTimeout(self.arguments, None, self.timeout))
        else:
            self.fail(WorkerDied(self.arguments, None, death.exit_code, death.signal))

    def fail(self, error: Exception) -> None:
        """End the call with an error."""
        self._error = error
        self._end()

    def _end(self) -> None:
        self.open = False
        if self._waiter is not None:
            wake(self._waiter)

    async def answer(self) -> Any:  # noqa: ANN401 - the function's
        """Wait for the result and return it, or raise the error."""
        if self.open:
            self._waiter = make_waiter()
            await self._waiter
        error, self._error = self._error, None
        if error is not None:
            try:
                raise error
            finally:
                del error
        return self._result
