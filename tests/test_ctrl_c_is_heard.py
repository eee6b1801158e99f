"""Ctrl-C interrupts tests also where a shell started the suite in the background."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
IGNORING = ["sh", "-c", 'trap "" INT; exec "$@"', "sh"]
PRESSED = """
import os
import signal
import subprocess
import sys

import pytest

PRESS = "import os, signal; os.kill(os.getpid(), signal.SIGINT)"


def test_here():
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_in_a_child():
    done = subprocess.run([sys.executable, "-c", PRESS], stderr=subprocess.PIPE)
    assert done.returncode == -signal.SIGINT
"""


def test_ctrl_c_interrupts_where_the_shell_ignores_it(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text((ROOT / "tests" / "conftest.py").read_text())
    (tmp_path / "test_it.py").write_text(PRESSED)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-c", os.devnull]
    done = subprocess.run(
        [*IGNORING, *command, f"--basetemp={tmp_path / 'base'}", f"--rootdir={tmp_path}"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "2 passed" in done.stdout, done.stdout
