"""Call a function for the items of a chunk within a time budget, and report progress on a page.

The page is memory that a worker shares with its pool. The worker writes there which items it works
on. The pool reads it when the worker dies, to find items that exceed their timeout, and to take
items back for an idle worker. Items that were not begun within the budget go back to the pool, so a
chunk that was cut too large does no harm.
"""

from __future__ import annotations

__all__ = (
    "CANCELLED",
    "CELLS",
    "CHUNK",
    "FROM",
    "INTERRUPTED",
    "SINCE",
    "UNTIL",
    "Page",
    "TaskCancelled",
    "call_uninterrupted",
    "encode_answer",
    "interrupt",
    "position",
    "work",
)

import _pickle as pickle
import _signal as signal  # type: ignore[import-not-found]
import os
import time
from collections.abc import Callable, Sequence
from itertools import starmap

from aconcur._pool_worker.by_value import make_pickler
from aconcur._pool_worker.codec import Encoded, encode
from aconcur._pool_worker.failures import Packed, pack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final, TypeAlias

Page: TypeAlias = memoryview
"""64-bit integers. The pool writes the first cell, the worker all others."""

CANCELLED: Final = 0  # the number of the job whose chunk is to be given up
CHUNK: Final = 1  # the number of the chunk in work
FROM: Final = 2  # the first of its items in work
UNTIL: Final = 3  # the item after the last one in work
SINCE: Final = 4  # when work on them began, in ns of the monotonic clock; 0: not measured
INTERRUPTED: Final = 5  # the number of the job whose task SIGTERM interrupts; the pool writes it
CELLS: Final = 6

# Seconds between two looks at the clock and the page. Measured: shorter intervals cost time.
_BLOCK: Final = 0.0003


class TaskCancelled(BaseException):
    """Raised inside a task that is cancelled or exceeds its timeout, if it has a grace period.

    The task may clean up in ``finally`` blocks. Its worker is killed when the grace period ends.
    """


# The page, the job, the chunk and the results so far, while a function runs.
_running: tuple[Page, int, int, list[Any]] | None = None


_page: Page | None = None


def position() -> tuple[int, int]:
    """Return the number of the chunk whose function runs here, and the position of its item."""
    if _running is None:
        return 0, 0
    return _running[2], len(_running[3])


def interrupt(number: int, _frame: object) -> None:
    """Raise TaskCancelled in the running task, if the pool has cancelled it: a signal handler."""
    global _running
    if _running is not None and _running[0][INTERRUPTED] == _running[1]:
        _running = None
        raise TaskCancelled
    if _page is None or not _page[INTERRUPTED]:  # another program has sent the signal
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    # Otherwise the task has just ended, or cannot be interrupted at this moment.


def call_uninterrupted(function: Callable[[], None]) -> None:
    """Call a function that must not stop half-way. It may be called in other threads as well."""
    global _running
    running, _running = _running, None
    try:
        function()
    finally:
        _running = running
    if running is not None and running[0][INTERRUPTED] == running[1]:
        _running = None
        raise TaskCancelled


Answer: TypeAlias = "tuple[list[Any], dict[int, Packed]]"


def work(
    function: Callable[[Any], Any],
    items: Sequence[Any],
    budget: float,
    page: Page,
    *,
    job: int,
    chunk: int,
    exact: bool,
    keep_going: bool,
    star: bool = False,
    failed: Callable[[BaseException], Any] = pack,
) -> tuple[Answer, float]:
    """Call the function for each item until one fails, the budget is spent or the job cancelled.

    Args:
        function: called with each item.
        items: at least one.
        budget: seconds after which no further item is begun.
        page: where to report progress.
        job: the number of the map or call.
        chunk: the number of the chunk.
        exact: report before every item, so that a death is blamed on one.
        keep_going: go on after an item that failed.
        star: an item is a tuple of arguments.
        failed: turns an exception into the entry among the errors.

    Returns:
        The results of the items from the first on, with None for those that failed, and the
        errors by position; the seconds that it took.
    """
    global _page, _running
    _page = page
    call = starmap if star else map
    results: list[Any] = []
    errors: dict[int, Packed] = {}
    count, clock = len(items), time.perf_counter
    stride = 1
    page[CHUNK] = chunk
    began = before = clock()
    while (at := len(results)) < count:
        until = min(at + stride, count)
        page[FROM], page[UNTIL] = at, until
        # Read after the write: see parallel/_pool/stealing.py.
        if page[CANCELLED] == job:
            break
        if exact:
            page[SINCE] = time.monotonic_ns()
        try:
            _running = page, job, chunk, results
            results.extend(call(function, items[at:until]))
            _running = None
            if len(results) < until:
                raise StopIteration  # the function raised it, and map() took it for its own end
        except BaseException as error:  # noqa: BLE001 - it travels
            _running = None
            errors[len(results)] = failed(error)
            results.append(None)
            del error
            if not keep_going:
                break
        now = clock()
        if not exact:
            stride = _next_stride(stride, now - before)
        before = now
        if now - began > budget:
            break
    page[SINCE] = page[FROM] = page[UNTIL] = 0
    return (results, errors), clock() - began


def _next_stride(stride: int, took: float) -> int:
    if took < _BLOCK:
        return stride * (2 if took > _BLOCK / 4 else 4)
    if took > 4 * _BLOCK:
        return max(1, int(stride * _BLOCK / took))
    return stride


def encode_answer(answer: Answer) -> Encoded:
    """Return the message for an answer; a result that cannot be pickled becomes an error."""
    try:
        return encode(answer)
    except BaseException:  # noqa: BLE001 - the results are pickled one by one below
        results, errors = answer
        pickler = _by_value()
        for at, result in enumerate(results):
            try:
                pickle.dumps(result, 5)
            except BaseException as error:  # noqa: BLE001 - it travels
                try:
                    results[at] = ByValue(pickler(result))
                except BaseException:  # noqa: BLE001 - the first error says more
                    errors[at] = pack(error)
                    results[at] = None
        return encode((results, errors))


class ByValue:
    """A result whose class exists only in the worker: a pickle that contains the class."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def __reduce__(self) -> tuple[Any, ...]:
        return pickle.loads, (self._data,)


def _by_value() -> Callable[[object], bytes]:
    try:
        pickler = make_pickler()
    except ImportError:
        return lambda value: pickle.dumps(value, 5)
    return lambda value: b"".join(encode(value, pickler).parts)
