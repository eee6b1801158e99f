"""A chunk of a map as a call that the executor of somebody else carries.

An executor sees only bytes, so an item, a result or an error whose pickling raises neither breaks
nor hangs it. Large bytes are left to the executor's own pickling, so they are not copied twice.
"""

from __future__ import annotations

__all__ = (
    "NoCall",
    "Sealed",
    "SealedCall",
    "SentAnswer",
    "SentCall",
    "call_with_shared",
    "forget",
    "new_page",
    "seal",
)

import io
import pickle
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

from aconcur._pool_worker.codec import INLINE, Encoded
from aconcur._pool_worker.failures import pack
from aconcur._pool_worker.kept import drop, is_kept, keep
from aconcur._pool_worker.task import CELLS, Page, Task
from aconcur._pool_worker.work import Answer, encode_answer, work

Key: TypeAlias = tuple[int, int]
"""The process of a map, and the map's number there."""


class Sealed(NamedTuple):
    """A pickled value that an executor can carry without risk."""

    data: bytes
    """The pickle."""
    large: tuple[bytes | str, ...]
    """The large values that it refers to."""
    buffers: tuple[bytes, ...]
    """The out-of-band buffers that it refers to (PEP 574)."""

    @property
    def size(self) -> int:
        """The bytes of all parts."""
        return len(self.data) + sum(map(len, self.large)) + sum(map(len, self.buffers))

    def open(self) -> Any:  # noqa: ANN401
        """Return the value.

        Raises:
            Exception: it cannot be unpickled in this process.
        """
        buffers = map(bytearray, self.buffers)
        if not self.large:
            return pickle.loads(self.data, buffers=buffers)
        opener = _Opener(io.BytesIO(self.data), buffers=buffers)
        opener.persistent_load = self.large.__getitem__  # type: ignore[method-assign]
        return opener.load()


def seal(value: object, message: Encoded) -> Sealed:
    """Return the form of a value that an executor may send.

    Args:
        value: the value.
        message: the message for it, which has been encoded already.
    """
    count = len(message.sizes)
    buffers = tuple(map(bytes, message.parts[:count]))
    # The pickler writes large values one by one, and small ones in frames of 64 KiB.
    if max(map(len, message.parts[count:])) <= INLINE:
        return Sealed(b"".join(message.parts[count:]), (), buffers)
    kept: list[memoryview] = []
    file = io.BytesIO()
    sealer = _Sealer(file, 5, buffer_callback=lambda buffer: kept.append(buffer.raw()))
    sealer.dump(value)
    return Sealed(file.getvalue(), tuple(sealer.large), tuple(map(bytes, kept)))


class _Sealer(pickle.Pickler):
    """Takes large bytes and texts out of the pickle."""

    def __init__(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - Pickler's own
        super().__init__(*args, **options)
        self.large: list[bytes | str] = []

    def persistent_id(self, value: object) -> int | None:
        """Return the position of a large value among those that were taken out."""
        if type(value) not in {bytes, str} or len(value) <= INLINE:  # type: ignore[arg-type]
            return None
        self.large.append(value)  # type: ignore[arg-type]
        return len(self.large) - 1


class _Opener(pickle.Unpickler):
    """Puts large values back."""


class SentAnswer(NamedTuple):
    """The outcome of a chunk that another process ran."""

    sealed: Sealed
    seconds: float

    def read(self) -> Answer:
        """Return results and errors.

        Raises:
            Exception: a result cannot be unpickled in this process.
        """
        answer: Answer = self.sealed.open()
        return answer


class SentCall(NamedTuple):
    """A function and the items to call it with."""

    key: Key
    function: Sealed
    items: Sealed
    budget: float
    keep_going: bool
    star: bool

    def __call__(self) -> SentAnswer:
        """Do the work. Runs in the worker."""
        seconds = 0.0
        try:
            function = _function(self.key, self.function)
            items = self.items.open()
        except BaseException as error:  # noqa: ASYNC103, BLE001 - it travels
            answer: Answer = [None], {0: pack(error)}
        else:
            answer, seconds = work(
                function,
                items,
                self.budget,
                Task(new_page(), self.key[1], 0),
                exact=False,
                keep_going=self.keep_going,
                star=self.star,
            )
            del items
        message = encode_answer(answer)
        return SentAnswer(seal(answer, message), seconds)


class SealedCall(NamedTuple):
    """A function and its arguments."""

    sealed: Sealed

    def __call__(self) -> Any:  # noqa: ANN401 - the function's
        """Call the function. Runs in the worker."""
        function, arguments, options = self.sealed.open()
        return function(*arguments, **options)


def new_page() -> Page:
    """Return a page that no other process reads."""
    return memoryview(bytearray(8 * CELLS)).cast("q")


@lru_cache(maxsize=8)
def _function(_: Key, sealed: Sealed) -> Callable[[Any], Any]:
    function: Callable[[Any], Any] = sealed.open()
    return function


def call_with_shared(call: Callable[[], Any], keys: tuple[str, ...], *values: Sealed) -> Any:  # noqa: ANN401
    """Make a call in a worker of a cluster after storing the values that it may refer to."""
    for key, value in zip(keys, values, strict=True):
        if not is_kept(key):
            keep(key, value.open())
    return call()


def forget(key: str) -> None:
    """Drop a shared value, and the functions that hold it. Called in a worker of a cluster."""
    drop(key)
    _function.cache_clear()


class NoCall:
    """Takes the place of a call that could not be pickled."""

    def __call__(self) -> None:
        """Do nothing."""
