"""``aconcur gcd``: real input of any length, on whatever computes."""

from __future__ import annotations

import math
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from aconcur.cli import gcd_lines
from aconcur.cli.gcd_lines import Block, divisors
from tests.support.commands import children_of
from tests.support.extras import skip_without
from tests.support.programs import started
from tests.support.states import until_sync

GCD = [sys.executable, "-m", "aconcur", "gcd"]
PAIRS = "a,b\n12,18\n\n7,x\n0,4\n100,75\r\n1,2,3\n 9 , 9 \n6,4"
ANSWERS = "12,18,6\n100,75,25\n9,9,9\n6,4,2\n"


def gcd(*arguments: str | Path, text: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*GCD, *arguments], input=text, capture_output=True, text=True, timeout=100, check=False
    )


@pytest.mark.parametrize("executor", ["pool", "threads", "processes"])
def test_wrong_lines_are_named_and_the_others_done(executor: str, tmp_path: Path) -> None:
    file = tmp_path / "pairs.csv"
    file.write_text(PAIRS, newline="")
    done = gcd(file, "--executor", executor, "--workers", "2")
    assert (done.returncode, done.stdout) == (1, ANSWERS)
    assert done.stderr.splitlines() == [
        "aconcur: line 4: two whole numbers are wanted, not 7,x",
        "aconcur: line 5: both must be at least 1, not 0",
        "aconcur: line 7: two whole numbers are wanted, not 1,2,3",
        "7 pairs",
        "aconcur: 3 of 7 lines are wrong: see above; the others are done",
    ]


def test_standard_input_in_its_order() -> None:
    pairs = [(6 * n, 4 * n % 97 + 1) for n in range(1, 2000)]
    done = gcd(text="".join(f"{a},{b}\n" for a, b in pairs))
    assert (done.returncode, done.stderr) == (0, "1999 pairs\n")
    assert done.stdout == "".join(f"{a},{b},{math.gcd(a, b)}\n" for a, b in pairs)


@pytest.mark.parametrize("executor", ["pool", "processes"])
def test_numbers_of_lines_are_exact_beyond_a_block_and_beyond_its_time(executor: str) -> None:
    lines = [f"{n % 50 + 1},{n % 37 + 1}" for n in range(30_000)]
    for slow in (5, 6, 15_000):
        lines[slow] = "2000003,2000005"  # takes more than a block's time
    wrong = (1, 9, 14_999, 15_002, 29_999)
    for at in wrong:
        lines[at] = f"x,{at}"
    done = gcd("--executor", executor, "--workers", "2", text="\n".join(lines))
    assert done.returncode == 1
    assert done.stderr.splitlines()[:-2] == [
        f"aconcur: line {at + 1}: two whole numbers are wanted, not x,{at}" for at in wrong
    ]
    pairs = (line.split(",") for line in lines if not line.startswith("x"))
    assert done.stdout.splitlines() == [f"{a},{b},{math.gcd(int(a), int(b))}" for a, b in pairs]


def test_what_a_block_has_no_time_for_is_left_with_its_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gcd_lines, "_BUDGET", 0.0)
    done = divisors(Block(7, b"x,1\n\n6,4\n9,6\n5,5"))
    assert done == (
        "6,4,2\n",
        1,
        [(7, "two whole numbers are wanted, not x,1")],
        10,
        ["9,6", "5,5"],
    )


def test_a_spreadsheets_mark_of_the_encoding_is_no_part_of_a_line() -> None:
    assert gcd(text="\ufeff12,18\r\n").stdout == "12,18,6\n"
    assert gcd(text="\ufeffa,b\r\n12,18\r\n").stdout == "12,18,6\n"


def test_nothing_in_nothing_out() -> None:
    done = gcd("-")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "0 pairs\n")


def test_an_endless_input_stays_small_and_ends_with_its_reader() -> None:
    line = f"yes 6,4 | {' '.join(GCD)} --workers 1"
    with started("sh", "-c", f"exec {line}", stderr=None) as shell:
        assert shell.stdout is not None
        for _ in range(20_000):
            assert shell.stdout.readline() == "6,4,2\n"
        peak = max(resident(pid) for pid in descendants(shell.pid))
        shell.stdout.close()
        shell.wait(30)
    assert peak < 300 << 20


def descendants(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(one for child in children for one in descendants(int(child)))]


def resident(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def test_a_line_without_end_is_wrong_and_not_kept() -> None:
    done = gcd(text="9" * 300_000 + ",3\n6,4\n")
    assert (done.returncode, done.stdout) == (1, "6,4,2\n")
    assert done.stderr.startswith("aconcur: line 1: two whole numbers are wanted, not 9999")
    assert len(done.stderr) < 300


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--workers", "0"], "--workers must be at least 1, not 0"),
        (["--executor", "gpu"], "--executor must be pool, threads, processes or dask://HOST:PORT"),
        (["--executor", "dask://"], "dask://HOST:PORT, not 'dask://'"),
        (["--executor", "dask://h:1", "--workers", "2"], "a cluster has its own"),
        (["a", "b"], "unrecognized arguments: b"),
    ],
)
def test_a_wrong_command_line_exits_with_two(arguments: list[str], complaint: str) -> None:
    done = gcd(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert complaint in done.stderr


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    done = gcd(tmp_path / "none")
    assert (done.returncode, done.stdout) == (1, "")
    assert "No such file" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("executor", ["pool", "processes"])
def test_ctrl_c_leaves_nothing(executor: str) -> None:
    command = [*GCD, "--executor", executor, "--workers", "2"]
    with started(*command, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        process.stdin.write("6,4\n" + "1000000007,1000000006\n" * 9)
        process.stdin.flush()
        until_sync(lambda: len(children_of(process.pid)) >= 2)
        children = children_of(process.pid)
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 130
        assert errors == "aconcur: interrupted\n"
        # multiprocessing's tracker ends a moment later
        until_sync(lambda: not any(Path(f"/proc/{pid}").exists() for pid in children))


@skip_without("rich")
def test_a_terminal_sees_how_far_it_has_come() -> None:
    leader, follower = pty.openpty()
    done = subprocess.run(
        [*GCD, "--workers", "1"],
        input=b"300007,300007\n3000000,3000001\n" * 8,
        stdout=subprocess.PIPE,
        stderr=follower,
        check=True,
    )
    os.close(follower)
    screen = os.read(leader, 1 << 16).decode()
    os.close(leader)
    assert " pairs, " in screen
    assert screen.rstrip().endswith("16 pairs")
    assert len(done.stdout.splitlines()) == 16
