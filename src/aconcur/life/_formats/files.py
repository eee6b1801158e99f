"""Which format a file has."""

from __future__ import annotations

__all__ = ("read", "write")

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from aconcur._core.atomic_file import replace_file
from aconcur.life._errors import PatternError
from aconcur.life._formats.life106 import HEADER, read_life106, write_life106
from aconcur.life._formats.macrocell import HEADER as MACROCELL
from aconcur.life._formats.macrocell import read_macrocell, write_macrocell
from aconcur.life._formats.plaintext import read_cells, write_cells
from aconcur.life._formats.rle import read_rle, write_rle
from aconcur.life._model.pattern import Pattern


class Reader(Protocol):
    """What reads a format."""

    def __call__(self, text: str | bytes, *, source: str = "") -> Pattern:
        """Return the pattern in a text."""


_READERS: Final[dict[str, Reader]] = {
    ".rle": read_rle,
    ".cells": read_cells,
    ".lif": read_life106,
    ".life": read_life106,
    ".mc": read_macrocell,
}
_WRITERS: Final[dict[str, Callable[[Pattern], str]]] = {
    ".rle": write_rle,
    ".cells": write_cells,
    ".lif": write_life106,
    ".life": write_life106,
    ".mc": write_macrocell,
}
# The first line of a picture: of RLE, it could only be a lone ! or dots.
_PICTURE: Final = re.compile(rb"\s*(?:!|[.O*]+[ \t\r]*$)", re.MULTILINE)


def read(path: str | os.PathLike[str]) -> Pattern:
    """Read a pattern from a file: .rle, .cells, .mc (macrocell), .lif or .life (Life 1.06).

    The first line tells Life 1.06 and macrocell, whatever the file is called; where the name tells
    nothing, the content tells a picture from RLE. A large file takes a while: in a coroutine use
    ``await anyio.to_thread.run_sync(read, path)``.

    Args:
        path: the file.

    Raises:
        PatternError: the file is not in its format; names file, line and column.
        OSError: it cannot be read.
    """
    path = Path(path)
    data = path.read_bytes()
    if b"\0" in data[:4096]:
        raise PatternError("this is no text, so it is no pattern", 1, 1, str(path))
    return _reader(path.suffix.lower(), data)(data, source=str(path))


def _reader(suffix: str, data: bytes) -> Reader:
    if data.startswith(HEADER.encode()):
        return read_life106
    if data.startswith(MACROCELL.encode()):
        return read_macrocell
    if suffix in _READERS:
        return _READERS[suffix]
    return read_cells if _PICTURE.match(data) else read_rle


def write(pattern: Pattern, path: str | os.PathLike[str]) -> None:
    """Write a pattern to a file whose name ends in .rle, .cells, .mc, .lif or .life (Life 1.06).

    RLE and macrocell keep everything; what the others lose, their own functions say.

    Raises:
        ValueError: the name ends in something else.
        PatternSizeError: the pattern is too large for the format.
        OSError: the file cannot be written.
    """
    path = Path(path)
    writer = _WRITERS.get(path.suffix.lower())
    if writer is None:
        raise ValueError(f"{path.name!r} must end in one of {', '.join(_WRITERS)}")
    text = writer(pattern)
    with replace_file(path) as file:
        file.write(text.encode())
