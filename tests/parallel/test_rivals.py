"""Rivals of a benchmark: each in its own process, which can neither hang the others nor outlive."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks.rival_process import RivalError, RivalProcess
from benchmarks.side_by_side import compare_costs

HERE = f"{__name__}:TABLES"


@contextmanager
def _fine() -> Iterator[Callable[[], float]]:
    yield lambda: 7.0


@contextmanager
def _hanging() -> Iterator[Callable[[], float]]:
    for apart in (False, True):
        subprocess.Popen(["sleep", "1000"], start_new_session=apart)
    Path(os.environ["RIVAL_PIDS"]).write_text(str(os.getpid()))
    print("last words", flush=True)
    rounds = 0

    def run() -> float:
        nonlocal rounds
        rounds += 1
        if rounds > 1:
            time.sleep(1000)
        return 1.0

    yield run


@contextmanager
def _raising() -> Iterator[Callable[[], float]]:
    raise RuntimeError("no luck")
    yield


@contextmanager
def _absent() -> Iterator[Callable[[], float]]:
    import_module("no_such_module")
    yield float


@contextmanager
def _dying() -> Iterator[Callable[[], float]]:
    os.kill(os.getpid(), signal.SIGKILL)
    yield float


RIVALS = {
    "fine": _fine,
    "hanging": _hanging,
    "raising": _raising,
    "absent": _absent,
    "dying": _dying,
}
TABLES = {"table": SimpleNamespace(rivals=RIVALS)}


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let a fresh interpreter find this module and the benchmarks."""
    paths = [str(Path(__file__).parents[2]), *sys.path]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    monkeypatch.setenv("RIVAL_PIDS", str(tmp_path / "pid"))


def test_a_rival_answers_round_by_round() -> None:
    with RivalProcess(HERE, "table", "fine") as rival:
        rival.open()
        assert [rival.round(), rival.round()] == [7.0, 7.0]
    with pytest.raises(RivalError, match="is closed"):
        rival.round()


def test_a_rival_that_hangs_is_killed_with_what_it_started(tmp_path: Path) -> None:
    rival = RivalProcess(HERE, "table", "hanging", bound=10)
    rival.open()
    pid = int((tmp_path / "pid").read_text())
    started = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    assert len(started) == 2
    rival._bound = 0.1
    with pytest.raises(RivalError, match=r"hangs: .* to run a round; it printed last: last words"):
        rival.round()
    give_up = time.monotonic() + 30
    for one in (pid, *started):
        while _runs(one):
            assert time.monotonic() < give_up
            time.sleep(0.01)


def _runs(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("raising", "raises RuntimeError: no luck"),
        ("absent", "is not installed: No module named 'no_such_module'"),
        ("dying", "dies"),
    ],
)
def test_a_rival_that_fails_says_how(name: str, what: str) -> None:
    with RivalProcess(HERE, "table", name) as rival, pytest.raises(RivalError, match=what):
        rival.open()


def test_a_case_that_raises_is_left_out_even_the_first(capsys: pytest.CaptureFixture[str]) -> None:
    rounds = iter([1.0, 1.0])
    cases = {"breaks": lambda: next(rounds), "twice": lambda: 4.0, "once": lambda: 2.0}
    costs = compare_costs("title", cases, unit="s", rounds=5)
    assert {name: cost.ratio.middle for name, cost in costs.items()} == {"twice": 1.0, "once": 0.5}
    assert "breaks is left out: StopIteration" in capsys.readouterr().out
