"""Exceptions that come from a worker, made whole again."""

from __future__ import annotations

__all__ = ("raisable", "rebuilt", "unpack")

import pickle

from aconcur._worker.failures import Packed, type_name
from aconcur.parallel._errors import RemoteError, RemoteTraceback, add_item_note


def unpack(packed: Packed | Exception, function: str, index: int | None, item: object) -> Exception:
    """Return what was raised for an item, which stands in its notes; in its cause, if it travelled.

    What a thread of this process raised is returned as it is.
    """
    if isinstance(packed, Exception):
        add_item_note(packed, function, index, item)
        return packed
    error = rebuilt(packed)
    error.__cause__ = RemoteTraceback(packed[3], item, index)
    add_item_note(error, function, index, item)
    return error


def raisable(error: Exception) -> Exception:
    """Return the error, or what stands for it where a coroutine cannot raise it."""
    if not isinstance(error, StopIteration | StopAsyncIteration):
        return error
    ends = RemoteError(type_name(error), str(error))
    ends.__cause__ = error
    for note in getattr(error, "__notes__", ()):
        ends.add_note(note)
    return ends


def rebuilt(packed: Packed) -> Exception:
    """Return what was raised there: its type, args and attributes.

    Its cause is the worker's traceback.
    """
    data, type_name, text, traceback = packed
    error: Exception = RemoteError(type_name, text)
    if data is not None:
        try:
            error = pickle.loads(data)
        except Exception as unreadable:  # noqa: BLE001 - a class that is known there alone
            error.add_note(f"it cannot be made here: {unreadable!r}")
    error.__cause__ = RemoteTraceback(traceback)
    return error
