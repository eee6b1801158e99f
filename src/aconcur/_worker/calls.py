"""A call that an executor makes, on its way to a worker, and what became of it on the way back.

Rule 1: an executor sees bytes. What an item, a result or an error does when it is pickled can
neither break the executor nor hang it.
Rule 2: the executor pickles large bytes itself, as they are: they are copied no more often.
"""

from __future__ import annotations

__all__ = ("NoCall", "Sealed", "SentAnswer", "SentCall", "new_page", "seal")

import io
import pickle
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

from aconcur._worker.codec import INLINE, Encoded
from aconcur._worker.failures import pack
from aconcur._worker.work import Answer, Page, encode_answer, work

Key: TypeAlias = tuple[int, int]
"""A map's process, and its number there."""


class Sealed(NamedTuple):
    """A value that is safe in the hands of an executor."""

    data: bytes
    """Its pickle."""
    large: tuple[bytes | str, ...]
    """The large values in it."""
    buffers: tuple[bytes, ...]
    """The buffers that it refers to (PEP 574)."""

    @property
    def size(self) -> int:
        """Bytes of it all."""
        return len(self.data) + sum(map(len, self.large)) + sum(map(len, self.buffers))

    def open(self) -> Any:  # noqa: ANN401
        """Return the value.

        Raises:
            Exception: it cannot be unpickled here.
        """
        buffers = map(bytearray, self.buffers)
        if not self.large:
            return pickle.loads(self.data, buffers=buffers)
        opener = _Opener(io.BytesIO(self.data), buffers=buffers)
        opener.persistent_load = self.large.__getitem__  # type: ignore[method-assign]
        return opener.load()


def seal(value: object, message: Encoded) -> Sealed:
    """Return what an executor may send for a value whose message is known."""
    count = len(message.sizes)
    buffers = tuple(map(bytes, message.parts[:count]))
    # The pickler hands over large values one by one, and small ones in frames of 64 KiB.
    if max(map(len, message.parts[count:])) <= INLINE:
        return Sealed(b"".join(message.parts[count:]), (), buffers)
    kept: list[memoryview] = []
    file = io.BytesIO()
    sealer = _Sealer(file, 5, buffer_callback=lambda buffer: kept.append(buffer.raw()))
    sealer.dump(value)
    return Sealed(file.getvalue(), tuple(sealer.large), tuple(map(bytes, kept)))


class _Sealer(pickle.Pickler):
    """Leaves large bytes and texts out."""

    def __init__(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - Pickler's own
        super().__init__(*args, **options)
        self.large: list[bytes | str] = []

    def persistent_id(self, value: object) -> int | None:
        """Return the number by which a large value is found again."""
        if type(value) not in {bytes, str} or len(value) <= INLINE:  # type: ignore[arg-type]
            return None
        self.large.append(value)  # type: ignore[arg-type]
        return len(self.large) - 1


class _Opener(pickle.Unpickler):
    """Puts them back."""


class SentAnswer(NamedTuple):
    """What became of a chunk."""

    sealed: Sealed
    seconds: float

    def read(self) -> Answer:
        """Return results and errors.

        Raises:
            Exception: a result cannot be unpickled here.
        """
        answer: Answer = self.sealed.open()
        return answer


class SentCall(NamedTuple):
    """A function and the items to call it with: what a worker is handed."""

    key: Key
    function: Sealed
    items: Sealed
    budget: float
    keep_going: bool

    def __call__(self) -> SentAnswer:
        """Do the work: runs in the worker."""
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
                new_page(),
                job=self.key[1],
                chunk=0,
                exact=False,
                keep_going=self.keep_going,
            )
            del items
        message = encode_answer(answer)
        return SentAnswer(seal(answer, message), seconds)


def new_page() -> Page:
    """Return a page that nobody else looks at."""
    return memoryview(bytearray(5 * 8)).cast("q")


@lru_cache(maxsize=8)
def _function(_: Key, sealed: Sealed) -> Callable[[Any], Any]:
    function: Callable[[Any], Any] = sealed.open()
    return function


class NoCall:
    """What goes to a worker in place of a call that could not be pickled."""

    def __call__(self) -> None:
        """Do nothing."""
