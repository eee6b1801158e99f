"""``aconcur race``: item 38 in the terminal, and the user's own function."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

BANK = """
import threading
import anyio
from anyio.lowlevel import checkpoint

balance = None

async def withdraw(amount):
    global balance
    if balance >= amount:
        await checkpoint()
        balance -= amount

async def twice():
    global balance
    balance = 100
    async with anyio.create_task_group() as group:
        group.start_soon(withdraw, 80)
        group.start_soon(withdraw, 80)
    assert balance >= 0, balance

async def once():
    global balance
    balance = 100
    await withdraw(80)

def in_threads():
    global balance
    balance = 100

    def withdraw(amount):
        global balance
        if balance >= amount:
            balance -= amount

    threads = [threading.Thread(target=withdraw, args=(80,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert balance >= 0, balance
"""


IMPATIENT = """
import anyio, anyio.lowlevel
async def gives_up():
    done = False
    with anyio.move_on_after(1):
        await anyio.lowlevel.checkpoint()
        done = True
    assert done
"""


def race(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "aconcur", "race", *arguments],
        capture_output=True,
        text=True,
        env=os.environ | environment,
        check=False,
    )


@pytest.fixture
def bank(tmp_path: Path) -> str:
    path = tmp_path / "bank.py"
    path.write_text(BANK)
    return str(path)


def columns(shown: str, update: str) -> tuple[list[int], list[int]]:
    """Return where the two workers' columns begin, and where the update stands in them."""
    header, *steps = shown[shown.index(" increment#1") + 1 :].splitlines()
    indent = len(shown[: shown.index(" increment#1") + 1].rpartition("\n")[2])
    begins = [indent + header.index(f"increment#{number}") for number in (1, 2)]
    return begins, [line.index(update) for line in steps if line.endswith(update)]


def test_item_38_is_shown_in_two_columns_and_with_the_lock_nothing_fails() -> None:
    done = race(COLUMNS="100")
    assert (done.returncode, done.stderr) == (0, "")
    parts = done.stdout.split("\n\n")
    tasks, tasks_locked, anywhere, gil, checked, locked = parts[1:]
    for shown, update in (
        (tasks, "self.count += await sensor()"),
        (anywhere, "self.count += offset"),
        (checked, "self.count += offset"),
    ):
        begins, updates = columns(shown, update)
        mark = "" if "in the loop's own order" in shown else "> "
        assert updates[:2] == [begins[0], begins[1] + len(mark)]
        assert "AssertionError: 1 of 2" in shown
    for shown in (tasks_locked, gil, locked):
        assert "none of all " in shown


def test_narrow_terminals_get_one_column() -> None:
    done = race(COLUMNS="50")
    assert done.returncode == 0
    assert "\n    increment#2  rebuilt.py:" in done.stdout


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_function_of_the_users_is_explored(bank: str, backend: str) -> None:
    done = race(f"{bank}::twice", "--backend", backend)
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith(f"{backend}, mixed: 1 of 1 schedule failed")
    assert "AssertionError: -60" in done.stdout
    again = race(f"{bank}::twice", "--backend", backend, "--replay", "fifo")
    assert again.returncode == 1
    assert again.stdout.partition("replay token")[2] == done.stdout.partition("replay token")[2]


def test_timers_race_as_they_are_asked_to(tmp_path: Path) -> None:
    (tmp_path / "impatient.py").write_text(IMPATIENT)
    scenario = f"{tmp_path}/impatient.py::gives_up"
    found = race(scenario)
    assert (found.returncode, found.stderr) == (1, "")
    token = found.stdout.partition("replay token '")[2].partition("'")[0]
    assert race(scenario, "--replay", token).returncode == 1
    assert race(scenario, "--timers", "idle").returncode == 0


def test_a_plain_function_is_explored_with_threads(bank: str) -> None:
    passed = race(f"{bank}::in_threads").stdout
    assert passed.startswith("threads at the grain of the GIL, bounded: none of all ")
    done = race(f"{bank}::in_threads", "--grain", "opcode")
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith("threads at the grain of every opcode, bounded: 1 of ")
    assert "AssertionError: -60" in done.stdout
    token = done.stdout.partition("replay token '")[2].partition("'")[0]
    again = race(f"{bank}::in_threads", "--grain", "opcode", "--replay", token)
    assert "AssertionError: -60" in again.stdout


def test_a_function_without_a_race_ends_with_0(bank: str) -> None:
    done = race(f"{bank}::once")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "asyncio, mixed: none of all 1 schedule failed\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["bank.py"], "scenario must be FILE::FUNCTION, like bank.py::transfer, not 'bank.py'"),
        (["nowhere.py::f"], "nowhere.py is not a file"),
        (["{bank}::other"], "has no function 'other'; it has: withdraw, twice, once, in_threads"),
        (["{bank}::in_threads", "--bound", "-1"], "bound must be at least 0, not -1"),
        (["{bank}::twice", "--bound", "-1"], "bound must be at least 0, not -1"),
        (["{bank}::twice", "--replay", "7"], "token must be 'base', 'fifo', '1=1,9=2'"),
        (["--replay", "1=1"], "--replay needs the FILE::FUNCTION"),
        (["{bank}::twice", "--replay", ""], "token must be 'base', 'fifo', '1=1,9=2'"),
        (["{bank}::in_threads", "--replay", ""], "token must be 'base', 'fifo', '1=1,9=2'"),
        (["--replay", ""], "--replay needs the FILE::FUNCTION"),
        (["{bank}::twice", "--replay", "9" * 5000 + "=1"], "token must be 'base'"),
        (["{bank}::withdraw"], "withdraw takes arguments: amount; give it a default or wrap"),
        (["{plain}::add"], "add takes arguments: first, second; give them defaults or wrap add"),
        (["{broken}::f"], "cannot be imported: SyntaxError"),
        (["{leaving}::f"], "cannot be imported: SystemExit: 0, at {leaving}:2"),
        (
            ["{dividing}::f"],
            "cannot be imported: ZeroDivisionError: division by zero, at {dividing}:2",
        ),
        (["{empty}::f"], "empty.py has no function 'f'; it has none"),
    ],
)
def test_wrong_input_exits_with_2(
    refused: Callable[..., str], bank: str, tmp_path: Path, arguments: list[str], said: str
) -> None:
    files = {"bank": bank}
    for name, text in (
        ("plain", "def add(first, second, third=3): pass\n"),
        ("broken", "def f(:\n"),
        ("leaving", "import sys\nsys.exit(0)\n"),
        ("dividing", "def divide():\n    1 / 0\n\ndivide()\n"),
        ("empty", "from os.path import join\n"),
    ):
        path = tmp_path / f"{name}.py"
        path.write_text(text)
        files[name] = str(path)
    complaint = refused("race", *(part.format(**files) for part in arguments))
    assert said.format(**files) in complaint
    assert "Traceback" not in complaint


@pytest.mark.parametrize("name", ["threading", "asyncio", "inspect"])
def test_a_file_may_be_called_like_a_module_of_the_standard_library(
    bank: str, tmp_path: Path, name: str
) -> None:
    path = tmp_path / f"{name}.py"
    path.write_text(Path(bank).read_text())
    for function, code in (("twice", 1), ("once", 0), ("in_threads", 0)):
        done = race(f"{path}::{function}")
        assert (done.returncode, done.stderr) == (code, "")


def test_a_token_that_fits_no_schedule_is_an_error(bank: str) -> None:
    done = race(f"{bank}::twice", "--replay", "77=1")
    assert done.returncode == 1
    assert "aconcur: choice point 77 had 2 tasks ready before and has 0 now" in done.stderr
    assert "Traceback" not in done.stderr
