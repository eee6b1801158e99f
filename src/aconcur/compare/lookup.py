"""The look-up table: each public name of four standard modules, and its replacements."""

from __future__ import annotations

__all__ = ("Answer", "lookup_tables", "read_lookup")

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from aconcur import lessons
from aconcur.compare.document import TextTable


@dataclass(frozen=True, slots=True)
class Answer:
    """One row: names of a module, and their replacements."""

    module: str
    names: tuple[str, ...]
    asyncio: str
    aconcur: str


def read_lookup() -> tuple[Answer, ...]:
    """Return all rows, in the order of the page."""
    path = Path(lessons.__file__).with_name("lookup.toml")
    said = tomllib.loads(path.read_text(encoding="utf-8"))
    return tuple(
        Answer(module, tuple(row[0].split(" ")), row[1], row[2])
        for module, rows in said.items()
        for row in rows
    )


def lookup_tables() -> Iterator[TextTable]:
    """Yield one table for each module."""
    answers = read_lookup()
    for module in dict.fromkeys(answer.module for answer in answers):
        rows = tuple(
            (", ".join(f"`{name}`" for name in one.names), one.asyncio, one.aconcur)
            for one in answers
            if one.module == module
        )
        columns = (f"you have, of `{module}`", "you write in asyncio", "with aconcur")
        yield TextTable("", columns, rows)
