"""The call that an executor gets for a chunk of a map.

A thread calls it as it is. Pickled for a process, it becomes bytes that cannot harm the executor.
"""

from __future__ import annotations

__all__ = ("ExecutorCall", "LocalAnswer", "SealedFunction")

import os
import pickle
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from contextlib import suppress
from typing import Any, NamedTuple, TypeAlias, final

from aconcur._pool_worker.calls import NoCall, Sealed, SentCall, seal
from aconcur._pool_worker.codec import encode
from aconcur._pool_worker.failures import Packed, pack
from aconcur._pool_worker.work import Page, work
from aconcur.parallel._map.chunk import Chunk
from aconcur.parallel._map.job import Job
from aconcur.parallel._pickling import encode_function

LocalResults: TypeAlias = tuple[list[Any], Mapping[int, Packed | Exception]]


class LocalAnswer(NamedTuple):
    """The outcome of a chunk that this process ran."""

    answer: LocalResults
    seconds: float

    def read(self) -> LocalResults:
        """Return results and errors."""
        return self.answer


def _as_it_is(error: BaseException) -> Exception | Packed:
    """Return the exception of a thread without this package's frame in its traceback."""
    if not isinstance(error, Exception):
        return pack(error)
    return error.with_traceback(error.__traceback__ and error.__traceback__.tb_next)


@final
class SealedFunction:
    """The function of a map, pickled once, when it is first needed.

    Args:
        executor: the executor that carries it.
    """

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._sealed: Sealed | None = None

    def get(self, function: Callable[[Any], Any]) -> Sealed:
        """Return the pickled function. Raises the errors of its pickling."""
        if self._sealed is None:
            self._sealed = _sealed(function, self._executor)
        return self._sealed


@final
class ExecutorCall:
    """A call without arguments.

    Args:
        job: the map.
        chunk: its items.
        page: where a thread sees that the map was left.
        sealed: the map's function, for processes.
    """

    __slots__ = ("_chunk", "_job", "_page", "_sealed", "refused", "sent")

    def __init__(self, job: Job, chunk: Chunk, page: Page, sealed: SealedFunction) -> None:
        self._job, self._chunk, self._page, self._sealed = job, chunk, page, sealed
        self.refused: BaseException | None = None
        """The exception that its pickling raised."""
        self.sent = 0
        """The bytes of its items, if it was pickled."""

    def __call__(self) -> LocalAnswer:
        job, chunk = self._job, self._chunk
        answer, seconds = work(
            job.function,
            chunk.items,
            job.budget,
            self._page,
            job=job.number,
            chunk=chunk.number,
            exact=False,
            keep_going=job.keep_going,
            failed=_as_it_is,
        )
        return LocalAnswer(answer, seconds)

    def __reduce__(self) -> tuple[Any, ...]:
        job = self._job
        try:
            function = self._sealed.get(job.function)
            items = seal(self._chunk.items, encode(self._chunk.items))
        except BaseException as error:  # noqa: ASYNC103, BLE001 - it fails the item only
            self.refused = error
            return NoCall, ()  # noqa: ASYNC104
        self.sent = items.size
        key = os.getpid(), job.number
        return SentCall, (key, function, items, job.budget, job.keep_going)


def _sealed(function: Callable[[Any], Any], executor: Executor) -> Sealed:
    """Return the function by name if that suffices, otherwise by value.

    Processes that this one starts have its ``__main__``, in which an initializer may have set
    globals that the function uses. The workers of a cluster do not have it.

    Raises:
        MissingRequirementError: it can only be sent by value, and cloudpickle is not installed.
        Exception: raised by pickling it.
    """
    if not type(executor).__module__.startswith(("aconcur.", "distributed.")):
        with suppress(pickle.PicklingError, AttributeError, TypeError):
            return Sealed(pickle.dumps(function, 5), (), ())
    message = encode_function(function)
    count = len(message.sizes)
    buffers = tuple(bytes(part) for part in message.parts[:count])
    return Sealed(b"".join(message.parts[count:]), (), buffers)
