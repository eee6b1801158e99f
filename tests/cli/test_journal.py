"""``aconcur journal``: what was recorded, and what is tried again."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from aconcur.pipeline import SKIP, Journal, stage


def journal(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "aconcur", "journal", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def odd_fails(item: str | int | bytes) -> None:
    if item in (1, "a b", b"\0", "a\nb"):
        raise ValueError("first line\n  second")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "run.db"
    items: list[str | int | bytes] = [0, 1, "a b", b"\0", "a\nb", "fine"]
    stage(odd_fails, on_error=SKIP).run_sync(items, journal=Journal(path))
    return path


def test_show(file: Path) -> None:
    shown = journal("show", file)
    assert (shown.returncode, shown.stderr) == (0, "")
    said = "odd_fails: ValueError: first line second (1 attempt)"
    assert shown.stdout.splitlines() == [
        "pipeline  odd_fails",
        "done      2",
        "failed    4",
        "again     0",
        f"1: {said}",
        f"'a\\nb': {said}",
        f"a b: {said}",
        f"b'\\x00': {said}",
    ]
    found = json.loads(journal("show", file, "--json").stdout)
    assert (found["done"], found["failed"], found["again"]) == (2, 4, 0)
    assert found["failures"][0] == {
        "key": "1",
        "stage": "odd_fails",
        "error": "ValueError: first line\n  second",
        "attempts": 1,
        "again": False,
    }


def test_retry(file: Path) -> None:
    done = journal("retry", file, "a b", "1")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "2 more to be tried again by the next run\n"
    assert "a b: odd_fails: ValueError: first line second (1 attempt, to be tried again)" in (
        journal("show", file).stdout
    )
    assert journal("retry", file).stderr.startswith("2 more")
    assert [failure.again for failure in Journal(file).failures()] == [True] * 4


def test_what_is_wrong_is_said(file: Path, tmp_path: Path) -> None:
    missing = journal("show", tmp_path / "none.db")
    assert missing.returncode == 1
    assert "none.db was not found: name the file that a run had as its journal" in missing.stderr
    cases: list[tuple[list[str | Path], str]] = [
        (["show", file, "x"], "show takes no KEY"),
        (["retry", file, "fine"], "no failed item has the key 'fine'"),
        (["shown", file], "invalid choice: 'shown'"),
    ]
    for arguments, complaint in cases:
        wrong = journal(*arguments)
        assert (wrong.returncode, wrong.stdout) == (2, "")
        assert complaint in wrong.stderr
        assert "Traceback" not in wrong.stderr
    (tmp_path / "text").write_text("hello, hello, this is no database at all")
    assert "it is not a journal" in journal("retry", tmp_path / "text").stderr
