"""Pickle a function for a worker: by its name where that does, as code where it does not."""

from __future__ import annotations

__all__ = ("dumps",)

import pickle
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec

from aconcur.errors import MissingRequirementError


def dumps(thing: object, *, by_value: bool = False) -> bytes:
    """Return the thing as bytes that :func:`pickle.loads` reads.

    Args:
        thing: what is sent.
        by_value: send a function of ``__main__`` as code, not as a name.

    Raises:
        MissingRequirementError: it takes cloudpickle, which is not installed.
        Exception: it cannot be pickled by either.
    """
    if by_value and _module(thing) == "__main__":
        return _by_cloudpickle(thing)
    try:
        return pickle.dumps(thing, pickle.HIGHEST_PROTOCOL)
    except Exception:
        if not callable(thing):
            raise
    return _by_cloudpickle(thing)


def _module(thing: object) -> str:
    while isinstance(thing, partial):
        thing = thing.func
    return getattr(thing, "__module__", "")


def _by_cloudpickle(thing: object) -> bytes:
    if find_spec("cloudpickle") is None:
        raise MissingRequirementError(
            "module cloudpickle",
            "pip install 'aconcur[cloudpickle]' to send lambdas, closures and what __main__ "
            "defines, or define the function in a module",
        )
    import cloudpickle

    send: Callable[[object], bytes] = cloudpickle.dumps
    return send(thing)
