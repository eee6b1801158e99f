"""Read and write pattern files of all formats."""

from __future__ import annotations

__all__ = ("read", "write")

import gzip
import os
import re
import zlib
from collections.abc import Callable
from pathlib import Path, PurePath
from typing import Final, Protocol

from aconcur._core.atomic_file import replace_file
from aconcur.life._errors import PatternError
from aconcur.life._formats import life105, life106, macrocell
from aconcur.life._formats.life105 import read_life105
from aconcur.life._formats.life106 import read_life106, write_life106
from aconcur.life._formats.macrocell import read_macrocell, write_macrocell
from aconcur.life._formats.plaintext import read_cells, write_cells
from aconcur.life._formats.rle import read_rle, write_rle
from aconcur.life._model.pattern import Pattern


class Reader(Protocol):
    """A function that reads one format."""

    def __call__(self, text: str | bytes, *, source: str = "") -> Pattern:
        """Return the pattern in a text."""


_READERS: Final[dict[str, Reader]] = {".rle": read_rle, ".cells": read_cells, ".mc": read_macrocell}
_WRITERS: Final[dict[str, Callable[[Pattern], str]]] = {
    ".rle": write_rle,
    ".cells": write_cells,
    ".lif": write_life106,
    ".life": write_life106,
    ".mc": write_macrocell,
}
_HEADERS: Final[dict[bytes, Reader]] = {
    life106.HEADER.encode(): read_life106,
    life105.HEADER.encode(): read_life105,
    macrocell.HEADER.encode(): read_macrocell,
}
_MCELL: Final = b"#MCell"
_GZIP: Final = b"\x1f\x8b"
# The header of RLE, after comments.
_RLE: Final = re.compile(rb"(?:\s*#[^\n]*\n)*\s*x\s*=")
# The first line of a picture. In RLE it could only be a lone "!" or dots.
_PICTURE: Final = re.compile(rb"\s*(?:!|[.O*]+[ \t\r]*$)", re.MULTILINE)
# The first comment of a picture. RLE ends at the "!".
_WORDS: Final = re.compile(rb"\s*![^\S\n]*\S")
# Files of Life 1.05 without their first line begin with a block or a description.
_BLOCKS: Final = re.compile(rb"\s*(?:#[DNR][^\n]*\n\s*)*#P[^\n]*\n[.*\s]*(?:#|$)")


def read(path: str | os.PathLike[str]) -> Pattern:
    """Read a pattern from a file: RLE, macrocell, .cells, Life 1.05 or Life 1.06.

    The content tells macrocell, Life 1.05 and 1.06, and RLE with a header, whatever the name is;
    for the others the ending of the name decides (.rle, .cells), and if it is another one, the
    content. A file that is compressed by gzip is decompressed first. Reading a large file takes a
    while: on an event loop use ``await anyio.to_thread.run_sync(read, path)``.

    Args:
        path: the file.

    Raises:
        PatternError: the file does not follow its format, or its rule or field is not supported;
            the message names file, line and column.
        OSError: the file cannot be read.
    """
    path = Path(path)
    data = _decompressed(path.read_bytes(), str(path))
    if b"\0" in data[:4096]:
        raise PatternError("the file is binary, and a pattern is text", 1, 1, str(path))
    if data.startswith(_MCELL):
        why = "MCell's format (.mcl) is not supported: open the file in Golly and save it as RLE"
        raise PatternError(why, 1, 1, str(path))
    return _reader(_suffix(path), data)(data, source=str(path))


def _decompressed(data: bytes, source: str) -> bytes:
    if not data.startswith(_GZIP):
        return data
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise PatternError(f"the gzip data is damaged: {error}", 1, 1, source) from None


def _suffix(path: PurePath) -> str:
    suffix = path.suffix.lower()
    return path.with_suffix("").suffix.lower() if suffix == ".gz" else suffix


def _reader(suffix: str, data: bytes) -> Reader:
    for header, reader in _HEADERS.items():
        if data.startswith(header):
            return reader
    if _RLE.match(data):
        return read_rle
    if suffix in _READERS and not (suffix == ".rle" and _WORDS.match(data)):
        return _READERS[suffix]
    if _BLOCKS.match(data):
        return read_life105
    return read_cells if _PICTURE.match(data) else read_rle


def write(pattern: Pattern, path: str | os.PathLike[str]) -> None:
    """Write a pattern to a file: .rle, .mc (macrocell), .cells, .lif or .life (Life 1.06).

    After one of these endings, ``.gz`` compresses the file. RLE and macrocell keep everything, also
    the place in a bounded field; the functions of the other formats say what they lose. The file is
    replaced atomically: if writing fails, an old file of that name is unchanged.

    Args:
        pattern: the pattern.
        path: the file.

    Raises:
        ValueError: the name has another ending.
        PatternSizeError: the pattern is too large for the format.
        GridTooLargeError: the pattern is too large to lay out: write macrocell.
        OSError: the file cannot be written.
    """
    path = Path(path)
    writer = _WRITERS.get(_suffix(path))
    if writer is None:
        raise ValueError(f"{path.name!r} must end in one of {', '.join(_WRITERS)}, or that and .gz")
    data = writer(pattern).encode()
    if path.suffix.lower() == ".gz":
        data = gzip.compress(data, mtime=0)
    with replace_file(path) as file:
        file.write(data)
