"""A real process, killed with SIGKILL at random instants, and resumed by the same call."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from aconcur.pipeline import Journal, JournalError
from tests.pipeline.test_journal import done
from tests.support.journaled import FAILS_AT
from tests.support.states import until

ITEMS = 8_000
KILLS = 4


def lines(file: Path) -> list[int]:
    return [int(line) for line in file.read_text().split()] if file.exists() else []


def recorded(journal: Journal) -> set[Any]:
    """Return the keys of items that are done or failed."""
    try:
        return done(journal) | {failure.key for failure in journal.failures()}
    except (JournalError, sqlite3.Error):  # killed before there was one
        return set()


def start(folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.support.journaled", str(folder), str(ITEMS)],
        cwd=Path(__file__).parents[2],
    )


# The loop here only waits: the process that is killed is the same, whatever loop that is.
@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
async def test_killed_at_random_instants(tmp_path: Path) -> None:
    journal, calls = Journal(tmp_path / "run.db"), tmp_path / "calls"
    seed = random.randrange(10**6)
    print("seed", seed)
    chance = random.Random(seed)
    known: set[Any] = set()
    for _ in range(KILLS):
        # So many calls later: somewhere between the opening of the file and a commit.
        size = calls.stat().st_size if calls.exists() else 0
        more = chance.choice([0, 1, chance.randrange(ITEMS // KILLS) * 4])
        process = start(tmp_path)

        def enough(process: subprocess.Popen[bytes] = process, goal: int = size + more) -> bool:
            ended = process.poll() is not None
            return ended or (calls.exists() and calls.stat().st_size >= goal)

        await until(enough)
        process.kill()
        process.wait()
        again = lines_after(calls, size)
        assert not known & set(again)
        assert known <= recorded(journal)
        known = recorded(journal)
    size = calls.stat().st_size
    assert start(tmp_path).wait(60) == 0
    assert set(lines_after(calls, size)) == set(range(ITEMS)) - known
    failures = journal.failures()
    assert recorded(journal) == set(range(ITEMS)) == set(lines(calls))
    assert [failure.key for failure in failures] == [*range(FAILS_AT, ITEMS, 100)]
    assert {(f.stage, f.error == f"ValueError: {f.key!r}") for f in failures} == {("work", True)}
    assert set(lines(tmp_path / "results")) == done(journal)


def lines_after(file: Path, size: int) -> list[int]:
    if not file.exists():
        return []
    with file.open() as opened:
        opened.seek(size)
        return [int(line) for line in opened.read().split()]
