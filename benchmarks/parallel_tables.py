"""All tables of benchmarks.parallel."""

from __future__ import annotations

__all__ = ("CASES", "TABLES")

from collections.abc import Sequence
from typing import Final

from benchmarks.parallel_loop import ON_THE_LOOP
from benchmarks.parallel_maps import MAPS
from benchmarks.parallel_table import Table

TABLES: Final[dict[str, Table]] = MAPS | ON_THE_LOOP

CASES: Final[dict[str, Sequence[str]]] = {
    "tiny": ["tiny"],
    "payloads": ["bytes in", "bytes out", "numpy in", "numpy out"],
    "one_call": ["one call"],
    "ticker": ["ticker"],
    "uneven": ["cliff", "tail"],
    "book": ["book"],
    "cold": ["cold"],
    "memory": ["memory"],
}
"""Tables by the word on the command line."""
