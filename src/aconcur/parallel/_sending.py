"""How functions travel: by name where they have one that a worker can import, else by value."""

from __future__ import annotations

__all__ = ("encode_arguments", "encode_function", "pickle_initializer")

import pickle
from functools import partial
from typing import Any

from aconcur._worker.codec import Encoded, encode
from aconcur.errors import MissingRequirementError
from aconcur.parallel._options import name_of


def encode_function(function: object) -> Encoded:
    """Return the message for a function.

    Raises:
        MissingRequirementError: it can only travel by value, and cloudpickle is not there.
        Exception: what its pickling raises.
    """
    return _encode(function, function)


def encode_arguments(function: object, arguments: tuple[Any, ...]) -> Encoded:
    """Return the message for a call; its errors are those of :func:`encode_function`."""
    return _encode(function, (function, arguments))


def pickle_initializer(function: object, arguments: tuple[Any, ...]) -> bytes:
    """Return the pickle of a call; its errors are those of :func:`encode_function`."""
    message = _encode(function, (function, arguments), buffers=False)
    return b"".join(message.parts)


def _encode(function: object, value: object, *, buffers: bool = True) -> Encoded:
    target = function
    while isinstance(target, partial):
        target = target.func
    by_name: Exception | None = None
    if getattr(target, "__module__", None) != "__main__":
        try:
            return encode(value) if buffers else _whole(pickle.dumps(value, 5))
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            by_name = error
    try:
        import cloudpickle
    except ImportError:
        if by_name is None:
            return encode(value) if buffers else _whole(pickle.dumps(value, 5))
        if not _is_local(target):
            raise by_name from None
        raise MissingRequirementError(
            f"cloudpickle, to send {name_of(function)} to a worker,",
            "pip install 'aconcur[cloudpickle]', or define it at the top of a module",
        ) from by_name
    if buffers:
        return encode(value, cloudpickle.Pickler)
    return _whole(cloudpickle.dumps(value, 5))


def _is_local(target: object) -> bool:
    name = name_of(target)
    return "<" in name or "." in name


def _whole(data: bytes) -> Encoded:
    return Encoded([data], (), len(data))
