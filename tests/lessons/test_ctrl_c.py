"""Ctrl-C comes when the lessons choose, and never to their children."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support import ctrl_c_cases


@pytest.mark.parametrize("case", ctrl_c_cases.__all__)
def test_ctrl_c(case: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.support.ctrl_c_cases", case],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
