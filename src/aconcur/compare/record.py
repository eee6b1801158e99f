"""What was measured: raw numbers, the machine they came from, and the file they rest in.

Rule: numbers stay raw here; medians and ratios are made where they are shown.
"""

from __future__ import annotations

__all__ = (
    "CaseRecord",
    "Record",
    "RecordError",
    "TableRecord",
    "VersionRecord",
    "read_record",
    "write_record",
)

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from aconcur.errors import AconcurError

SCHEMA = 1


class RecordError(AconcurError):
    """Raised when a record.json is absent, unreadable, or measured other sources."""


@dataclass(frozen=True, slots=True)
class VersionRecord:
    """One version's runs of a case."""

    label: str
    wall: tuple[float, ...]
    """Seconds, one a round."""
    cpu: tuple[float, ...]
    """Seconds of user and system time, children that have ended included, one a round."""
    memory: int
    """Bytes by which the first run, in a fresh process, raised its resident peak."""
    threads: int
    """Threads that one run starts."""
    children: int
    """Child processes that one run starts."""
    absent: str = ""
    """Why this version did not run here; empty when it did."""


@dataclass(frozen=True, slots=True)
class CaseRecord:
    """Versions of one system that were run in turn on one input."""

    id: str
    size: int
    answer: str
    """The beginning of the answer that every version gave."""
    versions: tuple[VersionRecord, ...]


@dataclass(frozen=True, slots=True)
class TableRecord:
    """Figures that a lesson measured by itself: row, column, one number a round."""

    id: str
    size: int
    rows: dict[str, dict[str, tuple[float, ...]]]


@dataclass(frozen=True, slots=True)
class Record:
    """All that was measured of one lesson in one go."""

    machine: dict[str, str]
    """Processor, cores, kernel, Python and library versions, load at the start, date."""
    sources: dict[str, str]
    """Digest of each source file that was measured."""
    cases: tuple[CaseRecord, ...]
    tables: tuple[TableRecord, ...]

    def case(self, id: str) -> CaseRecord:  # noqa: A002 - the word of lesson.toml
        """Return the case of this id."""
        return next(case for case in self.cases if case.id == id)

    def table(self, id: str) -> TableRecord:  # noqa: A002 - the word of lesson.toml
        """Return the table of this id."""
        return next(table for table in self.tables if table.id == id)


def as_json(record: Record) -> dict[str, Any]:
    """Return a record as what :mod:`json` can write; numbers keep six significant digits."""
    short: dict[str, Any] = _shorten({"schema": SCHEMA} | asdict(record))
    return short


def _shorten(value: Any) -> Any:  # noqa: ANN401 - any part of a JSON document
    match value:
        case float():
            return float(f"{value:.6g}") if math.isfinite(value) else None
        case dict():
            return {key: _shorten(part) for key, part in value.items()}
        case list() | tuple():
            return [_shorten(part) for part in value]
        case _:
            return value


def write_record(path: Path, record: Record) -> None:
    """Write a record as JSON."""
    path.write_text(json.dumps(as_json(record), indent=1) + "\n", encoding="utf-8")


def read_record(path: Path) -> Record:
    """Read what :func:`write_record` wrote.

    Raises:
        RecordError: there is no such file, or it is not a record.
    """
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        if said["schema"] != SCHEMA:
            raise RecordError(f"{path.parent.name}/{path.name} has schema {said['schema']}, not 1")
        return Record(
            machine=said["machine"],
            sources=said["sources"],
            cases=tuple(map(_case, said["cases"])),
            tables=tuple(map(_table, said["tables"])),
        )
    except FileNotFoundError:
        raise RecordError(
            f"{path.parent.name} has no {path.name}: run 'aconcur compare --record'"
        ) from None
    except (ValueError, LookupError, TypeError) as error:
        raise RecordError(f"{path.parent.name}/{path.name} is not a record: {error!r}") from error


def _case(said: dict[str, Any]) -> CaseRecord:
    versions = (
        VersionRecord(**(v | {"wall": tuple(v["wall"]), "cpu": tuple(v["cpu"])}))
        for v in said["versions"]
    )
    return CaseRecord(**(said | {"versions": tuple(versions)}))


def _table(said: dict[str, Any]) -> TableRecord:
    rows = {
        row: {
            column: tuple(math.nan if n is None else n for n in numbers)
            for column, numbers in columns.items()
        }
        for row, columns in said["rows"].items()
    }
    return TableRecord(said["id"], said["size"], rows)
