"""Exceptions on their way to the parent.

An exception is packed where it was raised. The pickle is read again there, so that reading it in
the parent cannot fail for a reason that was known here.
"""

from __future__ import annotations

__all__ = ("Packed", "PackedGroup", "pack", "pickled", "type_name")

import _pickle as pickle

from aconcur._pool_worker.main_module import sealed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, TypeAlias

Packed: TypeAlias = tuple[bytes | None, str, str, str]
"""The exception's pickle, or None; the name of its class; its text; its traceback."""


class _Rebuilt:
    """Pickles as an exception that is rebuilt without calling its ``__init__``."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def __reduce__(self) -> tuple[Any, ...]:
        return rebuild, (type(self._error), self._error.args, dict(self._error.__dict__))


def rebuild(
    kind: type[BaseException], args: tuple[Any, ...], state: dict[str, Any]
) -> BaseException:
    """Return an exception with these arguments and attributes."""
    # The __new__ of a group stores its exceptions; nothing else does.
    error = kind.__new__(kind, *(args if issubclass(kind, BaseExceptionGroup) else ()))
    error.args = args
    error.__dict__.update(state)
    return error


class PackedGroup:
    """An ExceptionGroup some of whose exceptions cannot be pickled: each is packed alone."""

    def __init__(self, kind: type[Any], message: str, members: list[Packed]) -> None:
        self.kind, self.message, self.members = kind, message, members


def pack(error: BaseException, *, skip: int = 1) -> Packed:
    """Return the exception in a form that can always be sent and always be read.

    Args:
        error: the exception. Its traceback is dropped.
        skip: the frames at the top of the traceback that belong to this package.
    """
    import traceback  # its imports take longer than all of this package

    where = error.__traceback__
    for _ in range(skip):
        where = where.tb_next if where else None
    text = "".join(traceback.format_exception(type(error), error, where))
    error.__traceback__ = None
    return pickled(error), type_name(error), _text(error), text


def pickled(error: BaseException) -> bytes | None:
    """Return the pickle of an ``Exception`` that can be read again, otherwise None."""
    # SystemExit, KeyboardInterrupt and CancelledError would act in the parent when raised there.
    if isinstance(error, Exception):
        with sealed():
            for dumps in _picklers():
                for form in (error, _Rebuilt(error)):
                    try:
                        data: bytes = dumps(form, 5)
                        again = pickle.loads(data)
                        # An exception rebuilt without __init__ has its arguments by construction.
                        same = form is not error or bool(again.args == error.args)
                    except BaseException:  # noqa: BLE001 - raised by the exception's pickling
                        continue
                    if same and type(again) is type(error):
                        return data
    if isinstance(error, ExceptionGroup):
        group = PackedGroup(type(error), error.message, [pack(e, skip=0) for e in error.exceptions])
        try:
            return pickle.dumps(group, 5)
        except BaseException:  # noqa: BLE001 - a class that cannot be found
            return pickle.dumps(PackedGroup(ExceptionGroup, group.message, group.members), 5)
    return None


def _picklers() -> Iterator[Any]:
    """Yield the function that pickles by name, then the one that pickles by value."""
    yield pickle.dumps
    try:
        import cloudpickle
    except ImportError:
        return
    yield cloudpickle.dumps


def type_name(error: BaseException) -> str:
    """Return the name of the exception's class, with its module."""
    kind = type(error)
    # As a worker calls the parent's __main__ (main_module).
    module = "__main__" if kind.__module__ == "__mp_main__" else kind.__module__
    return kind.__qualname__ if module == "builtins" else f"{module}.{kind.__qualname__}"


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except BaseException:  # noqa: BLE001 - raised by the exception's __str__
        return "(its str() fails)"
