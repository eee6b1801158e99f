"""Versions of values: whether the sender has changed a global or a class attribute since."""

from __future__ import annotations

__all__ = ("has_changed", "version_of")

from types import FunctionType, ModuleType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

# Values that are compared by their code, or not at all.
_CODE: Final = (FunctionType, type, ModuleType, classmethod, staticmethod, property)


def version_of(value: object) -> object:
    """Return a value that differs if the sender has changed it; None for code."""
    if isinstance(value, _CODE):
        return None
    try:
        import cloudpickle

        return hash(cloudpickle.dumps(value))
    except Exception:  # noqa: BLE001 - the value's pickling fails again when it is sent
        return id(value)


def has_changed(old: object, new: object, seen: object, version: object) -> bool:
    """Return whether the sender has changed a value since it was last sent, or since the fork.

    Args:
        old: the receiver's value.
        new: the value that was sent.
        seen: the version that was sent last; None: none was.
        version: the version of ``new``; None: it is code.
    """
    if version is not None:
        return seen is not None and seen != version
    if isinstance(old, FunctionType) and isinstance(new, FunctionType):
        return old.__code__ != new.__code__
    return old is not new
