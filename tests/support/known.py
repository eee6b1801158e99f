"""Offences against the rules of the house that are known and not mended yet.

``tests/known/PART.toml`` holds, for each kind of offence, the most that a part may have. A part is
a folder of ``src/aconcur`` or ``tests``, or ``benchmarks``, ``examples``, ``docs``. Without an
entry none is allowed. An entry for a kind that no longer occurs fails the test, so the list only
shrinks.
"""

from __future__ import annotations

__all__ = ("check", "part_of")

import tomllib
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parents[1] / "known"
BASE: Final = "base"


def part_of(file: Path) -> str:
    """Return the part that a file of the checkout belongs to; ``base`` for the rest."""
    parts = file.parts
    inside = parts[2:] if parts[:2] == ("src", "aconcur") else parts[1:]
    if parts[0] in {"src", "tests"}:
        part = inside[0] if len(inside) > 1 else BASE
        return "parallel" if part in {"_worker", "_pool_worker"} else part
    return parts[0] if len(parts) > 1 else BASE


def check(kind: str, offences: Iterable[tuple[str, object]]) -> None:
    """Fail if a part has more offences of this kind than its file allows, or none of them.

    Args:
        kind: a key in ``tests/known/PART.toml``.
        offences: the part, and what to print, of each.
    """
    found = defaultdict(list)
    for part, offence in offences:
        found[part].append(str(offence))
    allowed = {path.stem: _most(path, kind) for path in FOLDER.glob("*.toml")}
    complaints = []
    for part in sorted({*found, *allowed}):
        count, most = len(found[part]), allowed.get(part, 0)
        if count > most:
            complaints += [f"{part}: {count} of {kind!r}, {most} allowed:", *found[part]]
        elif most and not count:
            complaints.append(f"{part}: no {kind!r} left: delete it in tests/known/{part}.toml")
    assert not complaints, "\n".join(complaints)


def _most(path: Path, kind: str) -> int:
    return int(tomllib.loads(path.read_text(encoding="utf-8")).get(kind, 0))
