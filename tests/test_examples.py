"""Every example and every snippet of the README runs as it stands."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SNIPPETS = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)


def run(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_example_has_a_test() -> None:
    tested = {name.removeprefix("test_") for name in globals() if name.startswith("test_")}
    assert {file.stem for file in (ROOT / "examples").glob("*.py")} <= tested


def test_compare_one_lesson() -> None:
    lines = run("examples/compare_one_lesson.py", "coroutines").splitlines()
    assert len(lines) >= 2
    assert all(re.fullmatch(r"coroutines \S+ +.+ +[\d.]+ ms", line) for line in lines)


def test_find_a_race() -> None:
    out = run("examples/find_a_race.py")
    assert "AssertionError: asked 2 times" in out
    assert "the same on trio: trio, replay: 1 of 1 schedule failed" in out
    assert "with a lock: asyncio, bounded: none of all " in out


def test_life_server() -> None:
    """What it does for its viewers is in test_life_server.py."""
    assert "One Game of Life for many viewers" in run("examples/life_server.py", "--help")


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_the_readme_runs(snippet: str) -> None:
    assert run("-c", snippet)
