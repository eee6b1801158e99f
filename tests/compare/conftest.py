"""Lessons made on the spot."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from aconcur.compare.lesson import Lesson
from tests.support.lesson import make_lesson


@pytest.fixture
def lesson_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Lesson]:
    """Make the small lesson, with some of its files replaced."""
    # In front of what is there: planted faults reach the processes of a test by it.
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    return lambda **changes: make_lesson(tmp_path, **changes)
