"""What an executor of the caller's is given to call: a chunk of a map, in this process or another.

Rule: what an item does when it is pickled is the item's failure, and never the executor's.
"""

from __future__ import annotations

__all__ = ("ExecutorCall", "LocalAnswer", "SealedFunction")

import os
import pickle
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from contextlib import suppress
from typing import Any, NamedTuple, TypeAlias, final

from aconcur._worker.calls import NoCall, Sealed, SentCall, seal
from aconcur._worker.codec import encode
from aconcur._worker.failures import Packed, pack
from aconcur._worker.work import Page, work
from aconcur.parallel._chunk import Chunk
from aconcur.parallel._job import Job
from aconcur.parallel._sending import encode_function

LocalResults: TypeAlias = tuple[list[Any], Mapping[int, Packed | Exception]]


class LocalAnswer(NamedTuple):
    """What became of a chunk in this process."""

    answer: LocalResults
    seconds: float

    def read(self) -> LocalResults:
        """Return results and errors."""
        return self.answer


def _as_it_is(error: BaseException) -> Exception | Packed:
    """Return what was raised in a thread, without our part of its traceback."""
    if not isinstance(error, Exception):
        return pack(error)
    return error.with_traceback(error.__traceback__ and error.__traceback__.tb_next)


@final
class SealedFunction:
    """A map's function as all its calls carry it: pickled once, when it is first asked for.

    Args:
        executor: which carries it.
    """

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._sealed: Sealed | None = None

    def get(self, function: Callable[[Any], Any]) -> Sealed:
        """Return it; its errors are those of its pickling."""
        if self._sealed is None:
            self._sealed = _sealed(function, self._executor)
        return self._sealed


@final
class ExecutorCall:
    """What an executor is given to call, with no arguments.

    A thread calls it as it is. Whoever pickles it, in this process, gets bytes for a worker.

    Args:
        job: whose the items are.
        chunk: the items.
        page: on which a thread looks whether the map has been left.
        sealed: the map's function as all its calls carry it.
    """

    __slots__ = ("_chunk", "_job", "_page", "_sealed", "refused", "sent")

    def __init__(self, job: Job, chunk: Chunk, page: Page, sealed: SealedFunction) -> None:
        self._job, self._chunk, self._page, self._sealed = job, chunk, page, sealed
        self.refused: BaseException | None = None
        """Why it cannot be pickled."""
        self.sent = 0
        """Bytes of its items, where it was pickled."""

    def __call__(self) -> LocalAnswer:
        job, chunk = self._job, self._chunk
        answer, seconds = work(
            job.function,
            chunk.items,
            job.pace.budget,
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
        except BaseException as error:  # noqa: ASYNC103, BLE001 - an item's, not the executor's
            self.refused = error
            return NoCall, ()  # noqa: ASYNC104
        self.sent = items.size
        key = os.getpid(), job.number
        return SentCall, (key, function, items, job.pace.budget, job.keep_going)


def _sealed(function: Callable[[Any], Any], executor: Executor) -> Sealed:
    """Return the function by its name where that will do, else by value.

    Processes that this one starts have a ``__main__`` of their own, and perhaps an initializer that
    has set what the function looks for there. A cluster's workers have not.

    Raises:
        MissingRequirementError: it can only travel by value, and cloudpickle is not there.
        Exception: what its pickling raises.
    """
    if not type(executor).__module__.startswith(("aconcur.", "distributed.")):
        with suppress(pickle.PicklingError, AttributeError, TypeError):
            return Sealed(pickle.dumps(function, 5), (), ())
    message = encode_function(function)
    count = len(message.sizes)
    buffers = tuple(bytes(part) for part in message.parts[:count])
    return Sealed(b"".join(message.parts[count:]), (), buffers)
