"""A record survives the disk, and what is no record is refused."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from aconcur.compare.record import (
    CaseRecord,
    Record,
    RecordError,
    TableRecord,
    VersionRecord,
    as_json,
    read_record,
    write_record,
)

RECORD = Record(
    machine={"processor": "a fast one"},
    sources={"work.py": "d1"},
    cases=(
        CaseRecord(
            "add",
            5,
            "15",
            (
                VersionRecord("threads", (0.5, 0.25), (0.125, 0.5), 2048, 1, 0),
                VersionRecord("trio", (), (), 0, 0, 0, "trio is not installed"),
            ),
        ),
    ),
    tables=(TableRecord("steps", 3, {"one": {"µs": (1.5, 2.5)}}),),
)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_record(tmp_path / "record.json", RECORD)
    assert read_record(tmp_path / "record.json") == RECORD


def test_a_number_that_could_not_be_measured_stays_so(tmp_path: Path) -> None:
    table = TableRecord("steps", 3, {"one": {"KiB": (math.nan,)}})
    write_record(tmp_path / "record.json", Record({}, {}, (), (table,)))
    read = read_record(tmp_path / "record.json").table("steps")
    assert math.isnan(read.rows["one"]["KiB"][0])


def test_numbers_keep_six_digits() -> None:
    version = VersionRecord("threads", (0.123456789,), (1.0,), 0, 0, 0)
    data = as_json(Record({}, {}, (CaseRecord("add", 1, "", (version,)),), ()))
    assert data["cases"][0]["versions"][0]["wall"] == [0.123457]
    json.dumps(data, allow_nan=False)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "is not a record"),
        ("[]", "is not a record"),
        ("{}", "is not a record"),
        ('{"schema": 1}', "has schema 1, not 2: run"),
        ('{"schema": 2, "machine": {}, "sources": {}, "cases": [{"id": "a"}]}', "is not a record"),
    ],
)
def test_what_is_no_record_is_refused(tmp_path: Path, text: str, complaint: str) -> None:
    (tmp_path / "record.json").write_text(text)
    with pytest.raises(RecordError, match=complaint):
        read_record(tmp_path / "record.json")


def test_a_missing_record_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"has no record\.json: run 'aconcur compare --record'"):
        read_record(tmp_path / "record.json")
