"""Helpers for tests of several commands."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from aconcur.cli import main


@pytest.fixture
def refused(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., str]:
    """Return a function that runs a wrong command line and returns its complaint on stderr.

    It runs in this process: one process each would take ten times as long. Some of those stand in
    test_command_line.py.
    """

    def run(*arguments: str) -> str:
        monkeypatch.setattr(sys, "path", sys.path.copy())
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        output, complaint = capsys.readouterr()
        assert (ended.value.code, output) == (2, "")
        return complaint

    return run
