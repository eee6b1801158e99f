"""Where a pipe's input comes from and where its output goes: the vocabulary."""

from __future__ import annotations

__all__ = (
    "CAPTURE",
    "DISCARD",
    "INHERIT",
    "PIPE",
    "STDOUT",
    "Append",
    "HasFileno",
    "Input",
    "Output",
    "Stderr",
    "Tee",
    "Wiring",
)

import os
from collections.abc import AsyncIterable, Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Final, Literal, Protocol, TypeAlias, final


class Wiring(Enum):
    """Ends of a pipe of commands that need no value."""

    CAPTURE = "capture"
    DISCARD = "discard"
    INHERIT = "inherit"
    PIPE = "pipe"
    STDOUT = "stdout"

    def __repr__(self) -> str:
        return self.name


CAPTURE: Final = Wiring.CAPTURE
"""Keep what is written and return it."""
DISCARD: Final = Wiring.DISCARD
"""Send what is written to the null device."""
INHERIT: Final = Wiring.INHERIT
"""Use this process's own stdin, stdout or stderr. With a terminal as stdin the commands stay in
our process group, so that Ctrl-C, Ctrl-Z and reading from the terminal work; what a command starts
by itself then outlives it. Afterwards our group has the terminal again, and, if a command was
killed, the modes that it had before."""
PIPE: Final = Wiring.PIPE
"""``open(input=PIPE)``: the block writes the input."""
STDOUT: Final = Wiring.STDOUT
"""``stderr=STDOUT``: send stderr where stdout goes, as the shell's ``2>&1``."""


class HasFileno(Protocol):
    """An open file, or a socket."""

    def fileno(self) -> int:
        """Return its descriptor."""
        ...


@final
@dataclass(frozen=True, slots=True)
class Append:
    """``output=Append(path)``: add to the file's end, as the shell's ``>>``."""

    path: str | os.PathLike[str]


@final
@dataclass(frozen=True, slots=True)
class Tee:
    """``output=Tee(function)``: capture the output and call the function with each piece too."""

    function: Callable[[bytes], object]

    def __post_init__(self) -> None:
        if not callable(self.function):
            raise TypeError(f"Tee needs a function, not {self.function!r}")


Input: TypeAlias = (
    bytes
    | bytearray
    | memoryview
    | str
    | os.PathLike[str]
    | HasFileno
    | Iterable[bytes]
    | AsyncIterable[bytes]
    | Literal[Wiring.INHERIT, Wiring.PIPE]
    | None
)
"""Bytes; text, sent as UTF-8; a path; an open file; an iterable or async iterable of bytes;
``INHERIT``; None for no input at all. A path is never a ``str``: wrap it in ``Path``."""

Output: TypeAlias = (
    Literal[Wiring.CAPTURE, Wiring.DISCARD, Wiring.INHERIT]
    | os.PathLike[str]
    | Append
    | HasFileno
    | Tee
    | Callable[[bytes], object]
)
"""``CAPTURE``, ``DISCARD``, ``INHERIT``; a path, whose file is made anew; ``Append(path)``; an open
file; a function that is called with each piece; ``Tee(function)``, which captures as well."""

Stderr: TypeAlias = Literal[Wiring.CAPTURE, Wiring.DISCARD, Wiring.INHERIT, Wiring.STDOUT]
