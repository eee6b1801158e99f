"""``progress=True`` shows a map's progress on stderr."""

from __future__ import annotations

import io
import sys

import pytest

from aconcur.parallel import Pool
from tests.support import parallel_tasks as tasks


class Terminal(io.StringIO):
    """Claims to be a terminal."""

    def isatty(self) -> bool:
        return True


async def test_without_a_terminal_the_last_line_has_the_count(
    pool: Pool, capsys: pytest.CaptureFixture[str]
) -> None:
    await pool.map(tasks.square, range(30), progress=True).collect()
    assert capsys.readouterr().err.startswith("square: 30 of 30 done in ")
    await pool.map(tasks.square, iter(range(3)), progress=True).collect()
    assert capsys.readouterr().err.startswith("square: 3 done in ")


async def test_a_map_that_is_left_says_how_far_it_came(
    pool: Pool, capsys: pytest.CaptureFixture[str]
) -> None:
    async for _ in pool.map(tasks.square, iter(int, 1), progress=True, chunk=1, buffer=1):
        break
    assert capsys.readouterr().err.startswith("square: 0 done in ")


async def test_in_a_terminal_a_bar_is_drawn_and_erased(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    await pool.map(tasks.square, range(30), progress=True).collect()
    drawn = terminal.getvalue()
    assert "\x1b[" in drawn
    assert drawn.splitlines()[-1].split("\x1b[2K")[-1].startswith("square: 30 of 30 done in ")


async def test_false_shows_nothing(pool: Pool, capsys: pytest.CaptureFixture[str]) -> None:
    await pool.map(tasks.square, range(3), progress=False).collect()
    assert capsys.readouterr().err == ""
