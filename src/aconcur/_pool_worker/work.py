"""Call a function for the items of a chunk within a time budget, and report progress on a page.

The page is memory that a worker shares with its pool. The worker writes there which items it works
on. The pool reads it when the worker dies, to find items that exceed their timeout, and to take
items back for an idle worker. Items that were not begun within the budget go back to the pool, so a
chunk that was cut too large does no harm.
"""

from __future__ import annotations

__all__ = ("Answer", "encode_answer", "work")

import _pickle as pickle
import time
from collections.abc import Callable, Sequence
from itertools import starmap

from aconcur._pool_worker.by_value import make_pickler
from aconcur._pool_worker.codec import Encoded, encode
from aconcur._pool_worker.failures import Packed, pack
from aconcur._pool_worker.task import CANCELLED, CHUNK, FROM, SINCE, UNTIL, Task

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final, TypeAlias

# Seconds between two looks at the clock and the page. Measured: shorter intervals cost time.
_BLOCK: Final = 0.0003

Answer: TypeAlias = "tuple[list[Any], dict[int, Packed]]"


def work(
    function: Callable[[Any], Any],
    items: Sequence[Any],
    budget: float,
    task: Task,
    *,
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
        task: where to report progress.
        exact: report before every item, so that a death is blamed on one.
        keep_going: go on after an item that failed.
        star: an item is a tuple of arguments.
        failed: turns an exception into the entry among the errors.

    Returns:
        The results of the items from the first on, with None for those that failed, and the
        errors by position; the seconds that it took.
    """
    call = starmap if star else map
    page, results = task.page, task.results
    errors: dict[int, Packed] = {}
    count, clock = len(items), time.perf_counter
    stride = 1
    page[CHUNK] = task.chunk
    began = before = clock()
    while (at := len(results)) < count:
        until = min(at + stride, count)
        page[FROM], page[UNTIL] = at, until
        # Read after the write: see parallel/_pool/stealing.py.
        if page[CANCELLED] == task.job:
            break
        if exact:
            page[SINCE] = time.monotonic_ns()
        try:
            task.hears = True
            results.extend(call(function, items[at:until]))
            task.hears = False
            if len(results) < until:
                raise StopIteration  # the function raised it, and map() took it for its own end
        except BaseException as error:  # noqa: BLE001 - it travels
            task.hears = False
            # A function in C hears of a cancellation when it has returned.
            if len(results) < until:
                errors[len(results)] = failed(error)
                results.append(None)
                if not keep_going:
                    break
            del error
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
        return encode((results, dict(sorted(errors.items()))))


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
