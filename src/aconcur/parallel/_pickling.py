"""Functions and values on their way to a worker: checked, named and pickled.

A function travels by name if a worker can import it by that name, and otherwise by value, which
takes cloudpickle. Those of ``__main__`` travel by name if the workers can run ``__main__``; then
results are the same whether cloudpickle is installed or not. Either way all of them use one
``__main__`` in the worker (see ``_pool_worker.by_value``).
"""

from __future__ import annotations

__all__ = (
    "Sender",
    "can_run_main",
    "check_function",
    "check_mapped",
    "has_guard",
    "is_async",
    "is_coroutine_function",
    "name_of",
)

import pickle
import re
import sys
from collections.abc import Callable
from functools import partial
from inspect import (
    CO_ASYNC_GENERATOR,
    CO_COROUTINE,
    CO_ITERABLE_COROUTINE,
    isasyncgenfunction,
    iscoroutinefunction,
)
from pathlib import Path
from types import BuiltinFunctionType, FunctionType
from typing import Any, Final, final

from aconcur._pool_worker.by_value import make_pickler
from aconcur._pool_worker.codec import INLINE, Encoded, encode
from aconcur._pool_worker.main_module import Origin
from aconcur.errors import MissingRequirementError
from aconcur.parallel._inheritance import collecting_fds, inheriting

_GUARD: Final = re.compile(r"^if\b.*__name__.*__main__|^if\b.*__main__.*__name__", re.MULTILINE)
_ASYNC: Final = CO_ASYNC_GENERATOR | CO_COROUTINE | CO_ITERABLE_COROUTINE


def check_function(function: object) -> None:
    """Refuse an object that a worker cannot call.

    Raises:
        TypeError: it is not callable, or it is a coroutine function.
    """
    target = function
    while isinstance(target, partial):
        target = target.func
    # A fast path, because inspect would take a fifth of a call's time. A function that is marked as
    # a coroutine function has an attribute for it.
    if type(target) is FunctionType:
        if not target.__dict__ and not target.__code__.co_flags & _ASYNC:
            return
    elif type(target) is BuiltinFunctionType:
        return
    if not callable(target):
        raise TypeError(f"fn must be a function, not {function!r}")
    if is_async(target):
        raise TypeError(
            f"{name_of(function)} is a coroutine function: a worker calls plain functions; "
            "run coroutines by pool.run_async() or pool.map(), or in this loop with "
            "aconcur.pipeline.stage or a task group"
        )


def check_mapped(function: object, chunk: int | None = None) -> None:
    """Refuse an object that a pool cannot map.

    Raises:
        TypeError: it is not callable, or it is an async generator function; or it is a coroutine
            function and ``chunk`` is given.
    """
    if not is_coroutine_function(function):
        check_function(function)
    elif chunk is not None:
        raise TypeError(
            f"chunk={chunk} is for plain functions: the items of the coroutine function "
            f"{name_of(function)} are sent one by one"
        )


def is_coroutine_function(function: object) -> bool:
    """Return whether a call of the object makes a coroutine."""
    return iscoroutinefunction(function) or iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 - its kind matters
    )


def is_async(target: object) -> bool:
    """Return whether a call of the object makes a coroutine or an async generator."""
    return any(
        iscoroutinefunction(called) or isasyncgenfunction(called)
        for called in (target, getattr(target, "__call__", None))  # noqa: B004 - its kind matters
    )


def name_of(function: object) -> str:
    """Return a function's name, for messages."""
    while isinstance(function, partial):
        function = function.func
    name: str = getattr(function, "__qualname__", None) or type(function).__qualname__
    return name


@final
class Sender:
    """Pickles what one pool or executor sends.

    Args:
        by_name: the receivers have this process's ``__main__``, or can run it, so that its
            functions and classes are sent by name like those of any module.
        key: names this process to receivers that have another ``__main__``; empty: they do not.
    """

    def __init__(self, *, by_name: bool, key: str = "") -> None:
        self.by_name: bool = by_name
        self.encode_value: Callable[[object], Encoded] = encode if by_name else self._encode_value
        """Return the message for items or a shared value. Raises the errors of its pickling."""
        self._key = key

    def encode_function(self, function: object) -> Encoded:
        """Return the message for a function.

        Raises:
            MissingRequirementError: it can only travel by value, and cloudpickle is not installed.
            Exception: raised by pickling it.
        """
        return self._encode(function, function)

    def encode_call(self, function: object, call: tuple[Any, ...]) -> Encoded:
        """Return the message for a call. Raises the errors of :meth:`encode_function`."""
        return self._encode(function, call)

    def encode_initializer(
        self, function: object, arguments: tuple[Any, ...], fds: list[int]
    ) -> Encoded:
        """Return the message for the first call in each worker.

        Args:
            function: the initializer.
            arguments: they may contain multiprocessing's queues, locks and shared values.
            fds: descriptors to send along are appended.
        """
        try:
            with collecting_fds(fds):
                return self._encode(function, (function, arguments), inheriting)
        except RuntimeError as error:
            if "fork context" not in str(error):
                raise
            raise RuntimeError(
                "initargs contain a lock or queue of multiprocessing's fork context, which only a "
                "fork can inherit: make it by multiprocessing.get_context('spawn'), or use "
                "start='fork'"
            ) from error

    def _encode_value(self, value: object) -> Encoded:
        message = encode(value)
        if not _names_main(message):
            return message
        return encode(value, self._pickler("an instance of a class of __main__"))

    def _encode(
        self,
        function: object,
        value: object,
        adapted: Callable[[type[Any]], type[Any]] | None = None,
    ) -> Encoded:
        try:
            message = encode(value) if adapted is None else encode(value, adapted(pickle.Pickler))
        except RuntimeError as error:
            if "inheritance" in str(error):
                error.add_note("pass it to the workers in initargs=, or use a Manager's proxy")
            raise
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            name = name_of(function)
            is_local = "<" in name or "." in name
            if not (is_local or has_cloudpickle()):
                raise
            try:
                return encode(value, self._pickler(name, adapted))
            except MissingRequirementError as missing:
                raise missing from error
        if self.by_name or not _names_main(message):
            return message
        return encode(value, self._pickler(name_of(function), adapted))

    def _pickler(
        self, name: str, adapted: Callable[[type[Any]], type[Any]] | None = None
    ) -> type[Any]:
        try:
            pickler = make_pickler(self._key, versioned=not self.by_name)
            return pickler if adapted is None else adapted(pickler)
        except ImportError:
            raise MissingRequirementError(
                f"cloudpickle, to send {name} to a worker,",
                "pip install 'aconcur[cloudpickle]', or define it at the top of a module",
            ) from None


def _names_main(message: Encoded) -> bool:
    """Return whether a message may refer to a name in ``__main__``."""
    pickled = message.parts[len(message.sizes) :]
    # The pickler writes bytes above 64 KiB by reference, and opcodes in frames of that size.
    return any(b"__main__" in bytes(part) for part in pickled if len(part) <= INLINE)


def can_run_main(origin: Origin) -> bool:
    """Return whether a worker may run this process's ``__main__`` to find names in it.

    A script without ``if __name__ == "__main__"`` would do all its work again. Its functions travel
    by value instead if cloudpickle is installed; otherwise it is run, which raises an error that
    names the remedy when it comes to open a pool.
    """
    return origin is not None and (has_guard() or not has_cloudpickle())


def has_guard() -> bool:
    """Return whether ``__main__`` has an ``if __name__ == "__main__"``, or may have one."""
    file = Path(getattr(sys.modules["__main__"], "__file__", None) or "")
    try:
        source = file.read_text(encoding="utf-8", errors="replace")
    except OSError:  # an archive
        return True
    return bool(_GUARD.search(source)) or file.suffix != ".py"


def has_cloudpickle() -> bool:
    """Return whether cloudpickle is installed."""
    try:
        import cloudpickle  # noqa: F401
    except ImportError:
        return False
    return True
