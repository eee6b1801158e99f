"""One call of a function in a worker: a chunk with a single item, for which a task waits."""

from __future__ import annotations

__all__ = ("Call",)

from collections.abc import Callable, Mapping
from typing import Any, Final, final

from aconcur._core.wait_queue import WaitQueue, make_waiter
from aconcur._pool_worker.codec import Encoded
from aconcur._pool_worker.failures import Packed
from aconcur.parallel._errors import TaskTimeout, WorkerDied, add_item_note, raisable, unpack
from aconcur.parallel._map.chunk import Chunk, Death, new_number
from aconcur.parallel._pickling import name_of

# Workers in a row that died before they began the call, after which the call is blamed.
_DEATHS: Final = 3


@final
class Call:
    """A call under way.

    Args:
        function: the function.
        arguments: its arguments.
        message: both, encoded.
        timeout: seconds that it may take.
        grace: seconds to clean up before its worker is killed.
        again: called with it when it needs another worker.
    """

    is_quick: bool = False

    def __init__(
        self,
        function: Callable[..., Any],
        arguments: tuple[Any, ...],
        message: Encoded,
        timeout: float | None,
        grace: float,
        again: Callable[[Call], None],
    ) -> None:
        self.number: int = new_number()
        self.function: Callable[..., Any] = function
        self.arguments: tuple[Any, ...] = arguments
        self.message: Encoded = message
        self.timeout: float | None = timeout
        self.grace: float = grace
        self.chunk: Chunk = Chunk(self, 0, [arguments], exact=True)
        self.open: bool = True
        self._again = again
        self._waiters = WaitQueue()
        self._result: Any = None
        self._error: Exception | None = None

    def __repr__(self) -> str:
        return f"<Call {name_of(self.function)}: {'under way' if self.open else 'ended'}>"

    def finish(
        self,
        chunk: Chunk,
        results: list[Any],
        errors: Mapping[int, Packed | Exception],
        seconds: float,  # noqa: ARG002 - the signature of Owner
        size: int,  # noqa: ARG002
    ) -> int:
        """Accept the result. Without one the call was cancelled before it began."""
        if errors:
            name = name_of(self.function)
            self.fail(raisable(unpack(errors[0], name, None, self.arguments)))
        elif results:
            self._result = results[0]
            self._end()
        else:
            self.put_back(chunk)
        return 1 - len(results)

    def unreadable(self, chunk: Chunk, error: Exception) -> None:  # noqa: ARG002
        """Accept that the arguments or the result cannot be unpickled."""
        add_item_note(error, name_of(self.function), None, self.arguments)
        self.fail(error)

    def put_back(self, chunk: Chunk) -> None:  # noqa: ARG002
        """Wait for another worker."""
        if self.open:
            self._again(self)

    def take_back(self, chunk: Chunk, at: int) -> int:  # noqa: ARG002
        """Remove nothing: a call is one item."""
        return 0

    def crashed(self, chunk: Chunk, first: int, end: int, death: Death) -> None:
        """Accept that the worker has ended."""
        if not self.open:
            return
        chunk.deaths += first == end
        if first == end and chunk.deaths < _DEATHS:
            self._again(self)
        elif death.timed_out:
            self.fail(self.expired(chunk, 0))
        else:
            self.fail(WorkerDied(self.arguments, None, death.exit_code, death.signal))

    def expired(self, chunk: Chunk, at: int) -> TaskTimeout:  # noqa: ARG002
        """Return the error for a call that exceeded its timeout."""
        assert self.timeout is not None
        return TaskTimeout(self.arguments, None, self.timeout)

    def fail(self, error: Exception) -> None:
        """End the call with an error."""
        self._error = error
        self._end()

    def abandon(self) -> None:
        """Accept that the task no longer waits."""
        self.open = False

    def _end(self) -> None:
        self.open = False
        if self._waiters:
            self._waiters.wake_all()

    async def answer(self) -> Any:  # noqa: ANN401 - the function's
        """Wait for the result and return it, or raise the error."""
        while self.open:
            waiter = make_waiter()
            self._waiters.append(waiter)
            await waiter
        if self._error is not None:
            try:
                raise self._error
            finally:
                # Raised again, it would keep the frames of this coroutine.
                self._error.__traceback__ = None
        return self._result
