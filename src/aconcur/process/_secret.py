"""A value that a program gets and that is never shown."""

from __future__ import annotations

__all__ = ("MASK", "Secret", "plain_bytes", "variable_fault")

import os
from hmac import compare_digest
from typing import Final, NoReturn, final

MASK: Final = "***"


@final
class Secret:
    """Text or bytes for a command's environment that is never shown.

    ``repr``, ``str`` and formatting give ``***``; pickling raises. Only :meth:`reveal` returns the
    value; aconcur calls it to start a process, and no local variable of a frame that an error keeps
    holds it. The value is stored as it is: a debugger and a core dump can see it.

    The environment of a process can be read by the same user and by root; its arguments by every
    user (proc(5)). Hence a secret cannot be an argument.

    Args:
        value: what the program gets; text is encoded in the file system's encoding.

    Raises:
        TypeError: the value is neither text nor bytes; the message names only the type.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str | bytes) -> None:
        if not isinstance(value, str | bytes):
            kind = type(value).__name__
            del value  # the frame that the error keeps shows no value
            raise TypeError(f"a Secret holds str or bytes, not {kind}")
        self._value = value

    def reveal(self) -> str | bytes:
        """Return the value."""
        return self._value

    def __repr__(self) -> str:
        return f"Secret({MASK!r})"

    def __str__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return format(MASK, spec)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return compare_digest(_as_bytes(self._value), _as_bytes(other._value))

    def __hash__(self) -> int:
        return hash((Secret, _as_bytes(self._value)))

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> Secret:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret cannot be pickled: create it anew where it is needed")


def variable_fault(secret: Secret) -> str | None:
    """Return why no environment variable can have this value; None if one can."""
    try:
        return "must not contain NUL" if 0 in os.fsencode(secret.reveal()) else None
    except UnicodeEncodeError as error:  # it holds the whole text, so it must not be raised
        return f"cannot be encoded in {error.encoding}"


def plain_bytes(value: str | bytes | Secret) -> bytes:
    """Return the bytes of a value that a program reads; text in UTF-8."""
    return _as_bytes(value.reveal() if isinstance(value, Secret) else value)


def _as_bytes(value: str | bytes) -> bytes:
    if isinstance(value, bytes):
        return value
    try:
        return value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return value.encode("utf-8", "surrogatepass")
