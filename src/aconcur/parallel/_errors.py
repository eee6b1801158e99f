"""The errors of parallel work: each says what happened, at which item, and what to do."""

from __future__ import annotations

__all__ = (
    "PoolClosed",
    "RemoteError",
    "RemoteTraceback",
    "TaskTimeout",
    "WorkerDied",
    "WorkerStartError",
    "add_item_note",
    "describe_end",
    "shown",
)

import signal
from contextlib import suppress
from reprlib import Repr
from typing import Any, Final, TypeAlias

from aconcur.errors import AconcurError

Reduced: TypeAlias = tuple[type[BaseException], tuple[Any, ...]]

_SHORT: Final = Repr()
_SHORT.maxother = _SHORT.maxstring = 60


def shown(item: object) -> str:
    """Return a short form of an item, for a message."""
    try:
        return _SHORT.repr(item)
    except Exception:  # noqa: BLE001 - an item's __repr__ is not ours
        return f"a {type(item).__name__}"


def add_item_note(error: BaseException, function: str, index: int | None, item: object) -> None:
    """Say in the error's notes which call it comes from."""
    at = "" if index is None else f" at item {index}"
    with suppress(Exception):  # its notes are not ours: they may be no list
        error.add_note(f"in {function}{at}: {shown(item)}")


class WorkerDied(AconcurError):  # noqa: N818 - the field's word
    """Raised when the process that worked on an item has ended. The pool has started another.

    Args:
        item: what the function was given; for ``run()`` the tuple of its arguments.
        index: its place in the input, from 0; None for ``run()``.
        exit_code: what the process returned; None if a signal ended it, or nobody knows.
        signal: the signal's number that ended it; None if none did.
    """

    def __init__(
        self,
        item: object,
        index: int | None = None,
        exit_code: int | None = None,
        signal: int | None = None,
    ) -> None:
        at = "" if index is None else f" {index}"
        super().__init__(f"the worker {describe_end(exit_code, signal)} at item{at}: {shown(item)}")
        self.item: object = item
        """What the function was given."""
        self.index: int | None = index
        """The item's place in the input."""
        self.exit_code: int | None = exit_code
        """What the process returned."""
        self.signal: int | None = signal
        """The signal's number that ended it."""

    def __reduce__(self) -> Reduced:
        return type(self), (self.item, self.index, self.exit_code, self.signal)


def describe_end(exit_code: int | None, number: int | None) -> str:
    """Return how a process ended, as the end of a sentence."""
    if number is not None:
        try:
            name = signal.Signals(number).name
        except ValueError:
            name = f"signal {number}"
        hint = " (out of memory?)" if number == signal.SIGKILL else ""
        return f"was ended by {name}{hint}"
    return "ended" if exit_code is None else f"exited with {exit_code}"


class TaskTimeout(AconcurError, TimeoutError):  # noqa: N818 - the field's word
    """Raised when a call ran longer than ``timeout``. A pool's worker has been killed for it.

    Args:
        item: what the function was given; for ``run()`` the tuple of its arguments.
        index: its place in the input, from 0; None for ``run()``.
        seconds: what it was allowed.
    """

    def __init__(self, item: object, index: int | None, seconds: float) -> None:
        at = "" if index is None else f" {index}"
        super().__init__(
            f"no result after {seconds:g} s at item{at}: {shown(item)}: allow more with timeout="
        )
        self.item: object = item
        """What the function was given."""
        self.index: int | None = index
        """The item's place in the input."""
        self.seconds: float = seconds
        """What the call was allowed."""

    def __reduce__(self) -> Reduced:
        return type(self), (self.item, self.index, self.seconds)


class RemoteError(AconcurError):
    """Stands for an exception of a worker that cannot be had here.

    Its class or a value of it cannot be pickled or found; or it is no ``Exception``:
    ``SystemExit``, ``KeyboardInterrupt`` and ``CancelledError`` would do here what was meant for
    the worker, and ``StopIteration`` would end what waits for the result.

    Args:
        type_name: the exception's class, with its module.
        text: what its ``str()`` was.
    """

    def __init__(self, type_name: str, text: str) -> None:
        super().__init__(f"{type_name}: {text}" if text else type_name)
        self.type_name: str = type_name
        """The exception's class, with its module."""
        self.text: str = text
        """What its ``str()`` was."""

    def __reduce__(self) -> Reduced:
        return type(self), (self.type_name, self.text)


class RemoteTraceback(Exception):  # noqa: N818 - it is shown as a cause, never raised
    """The ``__cause__`` of every exception that comes from a worker: where it was raised there.

    Args:
        text: the worker's traceback.
        item: what the function was given; for ``run()`` the tuple of its arguments.
        index: its place in the input, from 0; None for ``run()``.
    """

    def __init__(self, text: str, item: object = None, index: int | None = None) -> None:
        super().__init__(text)
        self.text: str = text
        """The worker's traceback."""
        self.item: object = item
        """What the function was given."""
        self.index: int | None = index
        """The item's place in the input."""

    def __str__(self) -> str:
        return f'\n"""\n{self.text}"""'

    def __reduce__(self) -> Reduced:
        return type(self), (self.text, self.item, self.index)


class WorkerStartError(AconcurError):
    """Raised when no worker can be started: its cause is what the system or ``initializer`` raised.

    The pool gives up, so that it does not start processes for ever.
    """


class PoolClosed(AconcurError):  # noqa: N818 - as QueueClosed
    """Raised by a call of a pool whose block has ended."""

    def __init__(self, operation: str) -> None:
        super().__init__(f"the pool is closed: call {operation} inside its 'async with' block")
