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
    assert {file.name for file in (ROOT / "examples").glob("*.py")} == {"compare_one_lesson.py"}


def test_compare_one_lesson() -> None:
    lines = run("examples/compare_one_lesson.py", "lock").splitlines()
    assert len(lines) >= 2
    assert all(re.fullmatch(r"lock \S+ +.+ +[\d.]+ ms", line) for line in lines)


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_the_readme_runs(snippet: str) -> None:
    assert "Item 38" in run("-c", snippet)
