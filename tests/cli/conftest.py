"""What several commands are asked for."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from aconcur.cli import main


@pytest.fixture
def refused(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., str]:
    """Run a wrong command line in this process, and return what is said of it on stderr.

    A process for each would take ten times as long; test_command_line.py has some of those.
    """

    def run(*arguments: str) -> str:
        monkeypatch.setattr(sys, "path", sys.path.copy())
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        output, complaint = capsys.readouterr()
        assert (ended.value.code, output) == (2, "")
        return complaint

    return run
