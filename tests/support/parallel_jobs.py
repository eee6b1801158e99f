"""Jobs for parallel maps: light to import, and each wrong in its own way."""

from __future__ import annotations

__all__ = (
    "PickyError",
    "Unreadable",
    "deadly",
    "doubled",
    "gcd",
    "kind",
    "odd_fails",
    "picky",
    "second_time",
    "what",
)

import math
import os
import signal
import threading
from pathlib import Path
from typing import Any, NoReturn


class PickyError(Exception):
    """An error that cannot be made of its args alone, as an unpickler would."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.code = code


def gcd(pair: tuple[int, int]) -> int:
    return math.gcd(*pair)


def doubled(data: bytes) -> bytes:
    return data + data


def picky(item: int) -> int:
    if item == 13:
        raise PickyError("thirteen", 13)
    return item


def odd_fails(item: int) -> int:
    if item % 2:
        raise ValueError(f"{item} is odd")
    return item


def second_time(path: str) -> str:
    """Fail when it comes here first."""
    if not Path(path).exists():
        Path(path).touch()
        raise FileNotFoundError(path)
    return path


def deadly(item: int) -> int:
    """Do not survive 13."""
    if item == 13:
        os.kill(os.getpid(), signal.SIGKILL)
    return item


class Unreadable:
    """Can be pickled, and not unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _refuse, ()


def _refuse() -> NoReturn:
    raise LookupError("nobody can read this")


def kind(item: object) -> str:
    return type(item).__name__


def what(name: str) -> object:
    """Return what cannot travel, or can."""
    return {"lock": threading.Lock, "number": lambda: 7, "unreadable": Unreadable}[name]()
