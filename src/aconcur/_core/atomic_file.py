"""Write a file so that its name always leads to the whole old content or the whole new one."""

from __future__ import annotations

__all__ = ("replace_file",)

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from typing import BinaryIO


@contextmanager
def replace_file(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Yield a binary file that takes the place of ``path`` when the block ends without an error.

    The data goes to a new file in the same folder, named ``PATH.HEX.part``, which is then renamed
    (rename(2) is atomic). If the block raises, that file is deleted and the old one is untouched.
    An existing file keeps its permission bits, and a symbolic link is followed, not replaced.
    A path that is not a regular file, such as a named pipe or ``/dev/stdout``, is written directly.

    Raises:
        OSError: the file cannot be written; the error names ``path``, not the temporary name.
    """
    path = Path(path)
    if path.exists() and not path.is_file():
        with path.open("wb") as file:
            yield file
        return
    target = path.resolve()
    part = Path(f"{target}.{token_hex(4)}.part")
    try:
        with part.open("wb") as file:
            if target.exists():
                part.chmod(target.stat().st_mode & 0o7777)
            yield file
        part.replace(target)
    except BaseException as error:
        part.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename == str(part):
            error.filename = str(path)
        raise
