"""A status line is drawn only where a person watches, and replaced by the next one."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest

from tests.support.pseudo_terminal import open_pseudo_terminal

PROGRAM = """
import sys, time
from aconcur.cli.output import StatusLine
{before}
line = StatusLine()
line.show("1 of 3")
line.show("2 of 3, too soon to be seen")
time.sleep(0.15)
line.show("3 of 3 " + "and more " * 20)
line.clear()
line.clear()
print("done", file=sys.stderr)
"""
WITHOUT_RICH = (
    "import importlib.util; sys.modules['rich'] = None; importlib.util.find_spec = {}.get"
)


def screen(before: str = "", term: str = "xterm-256color") -> str:
    code = PROGRAM.format(before=before)
    with open_pseudo_terminal(sys.executable, "-c", code, columns=40, TERM=term) as terminal:
        assert terminal.wait_for_end() == 0, terminal.screen
        return terminal.screen


@pytest.mark.skipif(importlib.util.find_spec("rich") is None, reason="rich is not installed")
def test_the_next_line_replaces_the_last_one_and_is_cut_to_the_terminal() -> None:
    seen = screen()
    assert seen == "1 of 3\r\x1b[2K3 of 3 and more and more and more and m…\r\x1b[2Kdone\r\n"


@pytest.mark.parametrize(
    ("before", "term"),
    [(WITHOUT_RICH, "xterm"), ("", "dumb")],
    ids=["without rich", "on a dumb terminal"],
)
def test_no_line_is_drawn_without_the_means(before: str, term: str) -> None:
    assert screen(before, term) == "done\r\n"


def test_no_line_is_drawn_into_a_pipe() -> None:
    code = PROGRAM.format(before="")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "done\n")
