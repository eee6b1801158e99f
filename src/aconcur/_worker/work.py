"""Call a function for the items of a chunk, for some time, and tell all along where it is.

Rule: what is not begun when the time is up goes back; a wrong guess at a chunk's size is harmless.
"""

from __future__ import annotations

__all__ = ("CANCELLED", "CHUNK", "FROM", "SINCE", "UNTIL", "Page", "encode_answer", "work")

import _pickle as pickle
import time
from collections.abc import Callable, Sequence

from aconcur._worker.codec import Encoded, encode
from aconcur._worker.failures import Packed, pack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final, TypeAlias

Page: TypeAlias = memoryview
"""Memory that a worker shares with its pool: 64-bit integers."""

# The places on the page. The pool writes the first, the worker all others.
CANCELLED: Final = 0  # the map whose chunk is to be given up
CHUNK: Final = 1  # the chunk under work
FROM: Final = 2  # its items under work: from this one
UNTIL: Final = 3  # to before this one
SINCE: Final = 4  # when the work on them began, in ns of the monotonic clock; 0: none

# Seconds between two looks at clock and page. Measured: below this, they show.
_BLOCK: Final = 0.0003

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
    failed: Callable[[BaseException], Any] = pack,
) -> tuple[Answer, float]:
    """Call the function for each item until one fails, the time is up or the map is cancelled.

    Args:
        function: what to call with each item.
        items: at least one.
        budget: seconds after which no further item is begun.
        page: where to tell what is under work; a page of one's own where nobody looks.
        job: the map's number on the page.
        chunk: the chunk's number.
        exact: look at the page before every item, so that who dies is blamed with certainty.
        keep_going: go on after an item that fails.
        failed: makes of what was raised what stands among the errors.

    Returns:
        The results of the items from the first on, with None for those that failed, and their
        errors by their place; the seconds it took.
    """
    results: list[Any] = []
    errors: dict[int, Packed] = {}
    count, clock = len(items), time.perf_counter
    stride = 1
    page[CHUNK] = chunk
    began = before = clock()
    while (at := len(results)) < count:
        until = min(at + stride, count)
        page[FROM], page[UNTIL] = at, until
        if page[CANCELLED] == job:  # looked at last: see parallel/_recall.py
            break
        if exact:
            page[SINCE] = time.monotonic_ns()
        try:
            results.extend(map(function, items[at:until]))
            if len(results) < until:
                raise StopIteration  # map() takes one of the function's own for the end
        except BaseException as error:  # noqa: BLE001 - it travels
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
    except BaseException:  # noqa: BLE001 - looked at one by one
        results, errors = answer
        pickler = _by_value()
        for at, result in enumerate(results):
            try:
                pickle.dumps(result, 5)
            except BaseException as error:  # noqa: BLE001 - it travels
                try:
                    results[at] = ByValue(pickler(result))
                except BaseException:  # noqa: BLE001 - the first one tells more
                    errors[at] = pack(error)
                    results[at] = None
        return encode((results, errors))


class ByValue:
    """A result whose class is known only where it was made: a pickle that holds the class."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def __reduce__(self) -> tuple[Any, ...]:
        return pickle.loads, (self._data,)


def _by_value() -> Callable[[object], bytes]:
    try:
        import cloudpickle
    except ImportError:
        return lambda value: pickle.dumps(value, 5)
    dumps: Callable[[object], bytes] = cloudpickle.dumps
    return dumps
