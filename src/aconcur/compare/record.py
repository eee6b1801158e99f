"""Measured figures, the machine they came from, and the JSON files that hold them.

Numbers stay raw here: medians and intervals are computed where they are shown.
"""

from __future__ import annotations

__all__ = (
    "CaseRecord",
    "FaultRecord",
    "Observation",
    "Record",
    "RecordError",
    "TableRecord",
    "VersionRecord",
    "as_json",
    "read_fault_record",
    "read_record",
    "write_fault_record",
    "write_record",
)

import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from aconcur._core.atomic_file import replace_file
from aconcur.errors import AconcurError
from aconcur.lessons.under_fault import Observation

T = TypeVar("T")

SCHEMA = 2


class RecordError(AconcurError):
    """Raised when a recorded file is absent, unreadable, or of other sources."""


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
    """Why this version did not run here; empty if it did."""


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
    """The figures of one lesson."""

    machine: dict[str, str]
    """Processor, cores, kernel, versions, other programs' share of the processors, date."""
    sources: dict[str, str]
    """Digest of each source file that was measured."""
    cases: tuple[CaseRecord, ...]
    tables: tuple[TableRecord, ...]
    growth: tuple[CaseRecord, ...] = ()
    """The growth's versions at each size."""

    def case(self, id: str) -> CaseRecord:  # noqa: A002 - the word of lesson.toml
        """Return the case of this id."""
        return next(case for case in self.cases if case.id == id)

    def table(self, id: str) -> TableRecord:  # noqa: A002 - the word of lesson.toml
        """Return the table of this id."""
        return next(table for table in self.tables if table.id == id)


@dataclass(frozen=True, slots=True)
class FaultRecord:
    """The fault table of one lesson: fault, then version, then what was observed."""

    machine: dict[str, str]
    sources: dict[str, str]
    rows: dict[str, dict[str, Observation]]


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
    _write(path, as_json(record))


def write_fault_record(path: Path, record: FaultRecord) -> None:
    """Write a fault table as JSON."""
    _write(path, _shorten({"schema": SCHEMA} | asdict(record)))


def _write(path: Path, value: object) -> None:
    with replace_file(path) as file:
        file.write((json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode())


def read_record(path: Path) -> Record:
    """Read a file that :func:`write_record` wrote.

    Raises:
        RecordError: there is no such file, or it is not a record.
    """
    return _read(
        path,
        lambda said: Record(
            machine=said["machine"],
            sources=said["sources"],
            cases=tuple(map(_case, said["cases"])),
            tables=tuple(map(_table, said["tables"])),
            growth=tuple(map(_case, said["growth"])),
        ),
    )


def read_fault_record(path: Path) -> FaultRecord:
    """Read a file that :func:`write_fault_record` wrote.

    Raises:
        RecordError: there is no such file, or it is not a fault table.
    """
    return _read(
        path,
        lambda said: FaultRecord(
            machine=said["machine"],
            sources=said["sources"],
            rows={
                fault: {version: Observation(**seen) for version, seen in row.items()}
                for fault, row in said["rows"].items()
            },
        ),
    )


def _read(path: Path, build: Callable[[Any], T]) -> T:
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        if said["schema"] != SCHEMA:
            raise RecordError(
                f"{path.parent.name}/{path.name} has schema {said['schema']}, not {SCHEMA}: "
                "run 'aconcur compare --record'"
            )
        return build(said)
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
