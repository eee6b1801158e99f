"""The call that an executor gets for a chunk of a map.

A thread calls it as it is. Pickled for a process, it becomes bytes that cannot harm the executor.
"""

from __future__ import annotations

__all__ = ("ExecutorCall", "LocalAnswer", "SealedFunction", "joined", "sender_for")

import os
import platform
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, ProcessPoolExecutor
from typing import Any, Final, NamedTuple, TypeAlias, final

from aconcur._pool_worker.calls import NoCall, Sealed, SentCall, seal
from aconcur._pool_worker.codec import Encoded
from aconcur._pool_worker.failures import Packed, pack
from aconcur._pool_worker.main_module import origin_of_main
from aconcur._pool_worker.task import Page, Task
from aconcur._pool_worker.work import work
from aconcur.parallel._map.chunk import Chunk
from aconcur.parallel._map.job import Job
from aconcur.parallel._pickling import Sender, can_run_main

# Tells this process from an earlier one with the same id.
_STARTED: Final = time.time_ns()

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
    """Pickles for the calls of one map: the function once, when it is first needed.

    Args:
        executor: the executor that carries it.
    """

    def __init__(self, executor: Executor) -> None:
        self._sender = sender_for(executor)
        self._sealed: Sealed | None = None

    def get(self, function: Callable[[Any], Any]) -> Sealed:
        """Return the pickled function. Raises the errors of its pickling."""
        if self._sealed is None:
            self._sealed = joined(self._sender.encode_function(function))
        return self._sealed

    def seal_items(self, items: list[Any]) -> Sealed:
        """Return the pickled items. Raises the errors of their pickling."""
        message = self._sender.encode_value(items)
        return seal(items, message) if message.by_name else joined(message)


def joined(message: Encoded) -> Sealed:
    """Return a message in one piece, for values that are sent once."""
    count = len(message.sizes)
    buffers = tuple(map(bytes, message.parts[:count]))
    return Sealed(b"".join(message.parts[count:]), (), buffers)


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
            Task(self._page, job.number, chunk.number),
            exact=False,
            keep_going=job.keep_going,
            star=job.star,
            failed=_as_it_is,
        )
        return LocalAnswer(answer, seconds)

    def __reduce__(self) -> tuple[Any, ...]:
        job = self._job
        try:
            function = self._sealed.get(job.function)
            items = self._sealed.seal_items(self._chunk.items)
        except BaseException as error:  # noqa: ASYNC103, BLE001 - it fails the item only
            self.refused = error
            return NoCall, ()  # noqa: ASYNC104
        self.sent = items.size
        key = os.getpid(), job.number
        return SentCall, (key, function, items, job.budget, job.keep_going, job.star)


def sender_for(executor: Executor) -> Sender:
    """Return the object that pickles for an executor.

    The workers of the standard library's executor have this process's ``__main__``, in which an
    initializer may have set globals. Those of a cluster, of loky or of MPI have another one.
    """
    if not isinstance(executor, ProcessPoolExecutor):
        return Sender(by_name=False, key=f"{platform.node()} {os.getpid()} {_STARTED}")
    context = getattr(executor, "_mp_context", None)
    method = context.get_start_method() if context is not None else None
    return Sender(by_name=method == "fork" or can_run_main(origin_of_main()))
