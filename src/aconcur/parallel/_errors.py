"""The errors of parallel work. Each names what happened, the item, and the remedy."""

from __future__ import annotations

__all__ = (
    "ClusterUnreachable",
    "ExecutorBroken",
    "PoolClosed",
    "RemoteError",
    "RemoteTraceback",
    "TaskTimeout",
    "WorkerDied",
    "WorkerStartError",
    "add_item_note",
    "describe_end",
    "raisable",
    "rebuilt",
    "unpack",
)

import pickle
import signal
from collections.abc import Mapping
from concurrent.futures import BrokenExecutor
from contextlib import suppress
from reprlib import Repr
from typing import Any, Final, TypeAlias

from aconcur._pool_worker.failures import Packed, PackedGroup, type_name
from aconcur.errors import AconcurError

Reduced: TypeAlias = tuple[type[BaseException], tuple[Any, ...]]

_SHORT: Final = Repr()
_SHORT.maxother = _SHORT.maxstring = 60


def _shown(item: object) -> str:
    """Return a short form of an item, for a message."""
    try:
        return _SHORT.repr(item)
    except Exception:  # noqa: BLE001 - raised by the item's __repr__
        return f"a {type(item).__name__}"


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


# --------------------------------------------------------------- what happens to an item


class WorkerDied(AconcurError):  # noqa: N818 - the field's word
    """Raised when the process that worked on an item has ended. The pool has started another.

    Args:
        item: the item; for ``run()`` the tuple of arguments.
        index: its position in the input, from 0; None for ``run()``.
        exit_code: the exit code of the process; None if a signal ended it or it is not known.
        signal: the number of the signal that ended it; None if none did.
    """

    def __init__(
        self,
        item: object,
        index: int | None = None,
        exit_code: int | None = None,
        signal: int | None = None,
    ) -> None:
        at = "" if index is None else f" {index}"
        end = describe_end(exit_code, signal)
        super().__init__(f"the worker {end} at item{at}: {_shown(item)}")
        self.item: object = item
        """The item; for ``run()`` the tuple of arguments."""
        self.index: int | None = index
        """The item's position in the input."""
        self.exit_code: int | None = exit_code
        """The exit code of the process."""
        self.signal: int | None = signal
        """The number of the signal that ended the process."""

    def __reduce__(self) -> Reduced:
        return type(self), (self.item, self.index, self.exit_code, self.signal)


class TaskTimeout(AconcurError, TimeoutError):  # noqa: N818 - the field's word
    """Raised when a call ran longer than ``timeout``. The pool has killed its worker.

    Args:
        item: the item; for ``run()`` the tuple of arguments.
        index: its position in the input, from 0; None for ``run()``.
        seconds: the time that it was allowed.
    """

    def __init__(self, item: object, index: int | None, seconds: float) -> None:
        at = "" if index is None else f" {index}"
        super().__init__(
            f"no result after {seconds:g} s at item{at}: {_shown(item)}: allow more with timeout="
        )
        self.item: object = item
        """The item; for ``run()`` the tuple of arguments."""
        self.index: int | None = index
        """The item's position in the input."""
        self.seconds: float = seconds
        """The time that the call was allowed."""

    def __reduce__(self) -> Reduced:
        return type(self), (self.item, self.index, self.seconds)


class RemoteError(AconcurError):
    """Stands for an exception of a worker that cannot be raised here.

    Either its class or one of its values cannot be pickled or found, or it is not an ``Exception``:
    ``SystemExit``, ``KeyboardInterrupt`` and ``CancelledError`` were meant for the worker, and
    ``StopIteration`` would end the coroutine that waits for the result.

    Args:
        type_name: the exception's class, with its module.
        text: its ``str()``.
    """

    def __init__(self, type_name: str, text: str) -> None:
        super().__init__(f"{type_name}: {text}" if text else type_name)
        self.type_name: str = type_name
        """The exception's class, with its module."""
        self.text: str = text
        """Its ``str()``."""

    def __reduce__(self) -> Reduced:
        return type(self), (self.type_name, self.text)


class RemoteTraceback(Exception):  # noqa: N818 - shown as a cause, never raised
    """The ``__cause__`` of every exception that comes from a worker: the traceback there.

    Args:
        text: the worker's traceback.
        item: the item; for ``run()`` the tuple of arguments.
        index: its position in the input, from 0; None for ``run()``.
    """

    def __init__(self, text: str, item: object = None, index: int | None = None) -> None:
        super().__init__(text)
        self.text: str = text
        """The worker's traceback."""
        self.item: object = item
        """The item; for ``run()`` the tuple of arguments."""
        self.index: int | None = index
        """The item's position in the input."""

    def __str__(self) -> str:
        return f'\n"""\n{self.text}"""'

    def __reduce__(self) -> Reduced:
        return type(self), (self.text, self.item, self.index)


# ---------------------------------------------------- what happens to a pool or executor


class WorkerStartError(AconcurError):
    """Raised when no worker can be started.

    Its cause is the error of the operating system or of ``initializer``. The pool gives up rather
    than start processes for ever.
    """


class PoolClosed(AconcurError):  # noqa: N818 - as QueueClosed
    """Raised by a call on a pool whose block has ended."""

    def __init__(self, operation: str) -> None:
        super().__init__(f"the pool is closed: call {operation} inside its 'async with' block")


class ExecutorBroken(AconcurError, BrokenExecutor):  # noqa: N818 - as BrokenExecutor
    """Raised when an executor takes no more calls: a worker died, or it was shut down.

    When one worker dies, the standard library's process executor fails every pending call, does not
    say which call was at fault, and cannot be repaired. Results that came before are delivered
    first. With ``ordered=True`` every item before the first one in flight was delivered; otherwise
    every item that was drawn was delivered or is in flight.

    Args:
        reason: the executor's own message.
        in_flight: the items whose calls were lost, by position in the input, from 0.
        delivered: the number of results that the consumer has received.
    """

    def __init__(self, reason: str, in_flight: Mapping[int, Any], delivered: int) -> None:
        named = ", ".join(f"{index}: {_shown(item)}" for index, item in [*in_flight.items()][:4])
        more = f" and {len(in_flight) - 4} more" if len(in_flight) > 4 else ""
        super().__init__(
            f"the executor broke ({reason}): {delivered} results were delivered, "
            f"{len(in_flight)} items were in flight ({named}{more}); make a new executor, or use "
            "aconcur.parallel.open_pool, which replaces a worker that dies and names the item"
        )
        self.reason: str = reason
        """The executor's own message."""
        self.in_flight: Mapping[int, Any] = dict(in_flight)
        """The items whose calls were lost, by position in the input."""
        self.delivered: int = delivered
        """The number of results that the consumer has received."""

    def __reduce__(self) -> tuple[type[ExecutorBroken], tuple[str, Mapping[int, Any], int]]:
        return type(self), (self.reason, self.in_flight, self.delivered)


class ClusterUnreachable(AconcurError):  # noqa: N818 - as PoolClosed
    """Raised when no scheduler answers at an address in time.

    Args:
        address: the address.
        seconds: how long the client waited.
        reason: the error of the connection.
    """

    def __init__(self, address: str, seconds: float, reason: str) -> None:
        super().__init__(
            f"no scheduler answered at {address} within {seconds:g} s ({reason}): "
            "start one with 'dask scheduler', and check host, port and firewall"
        )
        self.address: str = address
        """The address."""
        self.seconds: float = seconds
        """How long the client waited."""
        self.reason: str = reason
        """The error of the connection."""

    def __reduce__(self) -> tuple[type[ClusterUnreachable], tuple[str, float, str]]:
        return type(self), (self.address, self.seconds, self.reason)


# ------------------------------------------------------------- exceptions of a worker


def add_item_note(error: BaseException, function: str, index: int | None, item: object) -> None:
    """Add a note to the error that names the function, the item and its position."""
    at = "" if index is None else f" at item {index}"
    with suppress(Exception):  # a user's __notes__ need not be a list
        error.add_note(f"in {function}{at}: {_shown(item)}")


def unpack(packed: Packed | Exception, function: str, index: int | None, item: object) -> Exception:
    """Return the exception that an item raised, with a note that names the item.

    If it came from another process, its cause is the traceback there. An exception of a thread of
    this process is returned as it is.
    """
    if isinstance(packed, Exception):
        add_item_note(packed, function, index, item)
        return packed
    error = rebuilt(packed)
    error.__cause__ = RemoteTraceback(packed[3], item, index)
    add_item_note(error, function, index, item)
    return error


def raisable(error: Exception) -> Exception:
    """Return the error, or a RemoteError if a coroutine cannot raise it (StopIteration)."""
    if not isinstance(error, StopIteration | StopAsyncIteration):
        return error
    stands_in = RemoteError(type_name(error), str(error))
    stands_in.__cause__ = error
    for note in getattr(error, "__notes__", ()):
        stands_in.add_note(note)
    return stands_in


def rebuilt(packed: Packed) -> Exception:
    """Return an exception of a worker with its type, arguments and attributes.

    Its cause is the worker's traceback.
    """
    data, type_name, text, traceback = packed
    error: Exception = RemoteError(type_name, text)
    if data is not None:
        try:
            error = pickle.loads(data)
            if isinstance(error, PackedGroup):
                members = [rebuilt(member) for member in error.members]
                error = error.kind(error.message, members)
        except Exception as unreadable:  # noqa: BLE001 - the class exists only in the worker
            error.add_note(f"it cannot be made here: {unreadable!r}")
    error.__cause__ = RemoteTraceback(traceback)
    return error
