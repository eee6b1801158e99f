"""A journal is read without write permission, whether idle, being written or left by a kill."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from aconcur.pipeline import SKIP, Journal, stage

# A user that owns no files.
_NOBODY = 65534
# The modules are imported first: another user may not be able to read Python's own.
_SHOW = """
import argparse, os, sys
import aconcur.cli.journal
chosen = argparse.Namespace(action="show", file=sys.argv[1], keys=[], json=False)
if os.geteuid() == 0:
    os.seteuid(int(sys.argv[2]))
assert not os.access(sys.argv[1], os.W_OK, effective_ids=True)
aconcur.cli.journal.run(chosen)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Lend a folder that other users may read, and no one may write but its owner."""
    with TemporaryDirectory(dir=tmp_path.parent) as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder
        folder.chmod(0o755)


def shown(path: Path) -> list[str]:
    """Return what ``aconcur journal show`` prints to a user who may only read."""
    for file in path.parent.iterdir():
        file.chmod(0o444)
    path.parent.chmod(0o555)
    try:
        done = subprocess.run(
            [sys.executable, "-c", _SHOW, path, str(_NOBODY)],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    finally:
        path.parent.chmod(0o755)
        for file in path.parent.iterdir():
            file.chmod(0o644)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout.splitlines()


def three_fails(item: int) -> int:
    if item == 3:
        raise ValueError("three")
    return item


def test_of_an_idle_journal_all_is_read_and_nothing_written(folder: Path) -> None:
    path = folder / "run.db"
    stage(three_fails, on_error=SKIP).run_sync(range(5), journal=Journal(path))
    before = {file.name for file in folder.iterdir()}
    assert shown(path)[1:] == [
        "done      4",
        "failed    1",
        "again     0",
        "3: three_fails: ValueError: three (1 attempt)",
    ]
    assert {file.name for file in folder.iterdir()} == before


def test_a_journal_that_is_being_written_is_read(folder: Path) -> None:
    path = folder / "run.db"
    seen: list[list[str]] = []

    def look(item: int) -> int:
        if item == 3:
            seen.append(shown(path))
        return item

    stage(look).run_sync(range(5), journal=Journal(path))
    assert seen[0][0] == "pipeline  look"


# Not a fork: the process of the tests has threads.
KILLED = """
import os, signal, sys
from aconcur.pipeline import Journal, stage
from tests.support.states import until_sync

def kill(item):
    if item == 5:
        until_sync(lambda: Journal(sys.argv[1]).statistics().done == 5)
        os.kill(os.getpid(), signal.SIGKILL)
    return item

stage(kill).run_sync(range(10), journal=Journal(sys.argv[1]))
"""


def test_a_journal_that_a_kill_left_is_read(folder: Path) -> None:
    path = folder / "run.db"
    done = subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert shown(path)[1] == "done      5"
