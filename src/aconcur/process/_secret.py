"""A value that programs get and people do not."""

from __future__ import annotations

__all__ = ("MASK", "Secret")

from hmac import compare_digest
from typing import Final, NoReturn, final

MASK: Final = "***"


@final
class Secret:
    """Text or bytes for a command's environment that is never shown.

    ``repr``, ``str`` and formatting give ``***``; pickling raises. :meth:`reveal` gives the value,
    and nothing else of aconcur does so but the start of a process. It is kept as it came: a
    debugger and a core dump can see it.

    The environment of a process can be read by the same user and by root; its arguments, by
    everybody (proc(5)). Hence a secret cannot be an argument.

    Args:
        value: what a program is to get; text goes out in the file system's encoding.

    Raises:
        TypeError: the value is neither text nor bytes; the message names the type alone.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str | bytes) -> None:
        if not isinstance(value, str | bytes):
            raise TypeError(f"a Secret holds str or bytes, not {type(value).__name__}")
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
        raise TypeError("a Secret cannot be pickled: make it anew where it is needed")


def _as_bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode("utf-8", "surrogateescape")
