"""open(pty=…): a terminal of their own for programs that need one."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Literal

import anyio
import pytest

from aconcur.process import (
    DISCARD,
    PIPE,
    Command,
    CommandNotFound,
    CommandStartError,
    InputClosed,
    Running,
    Secret,
)
from aconcur.testing import cancel_everywhere
from tests.support.commands import descriptors, free_files, lives, noted_pids, sh
from tests.support.states import until

CAT = Command("cat")


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


async def said(running: Running, text: bytes) -> bytes:
    """Read the screen until it shows something."""
    screen = b""
    with anyio.fail_after(20):
        async for chunk in running.chunks():
            screen += chunk
            if text in screen:
                return screen
    raise AssertionError(screen)


async def test_its_three_streams_are_one_terminal_that_controls_it() -> None:
    # Opening /dev/tty works only in a process that the terminal controls.
    look = sh("tty; tty <&1; tty <&2; stty size; : </dev/tty && echo ours")
    async with look.open(pty=True) as running:
        lines = [line.rstrip(b"\r") async for line in running.lines()]
    assert lines[0] == lines[1] == lines[2]
    assert lines[0].startswith(b"/dev/pts/")
    assert lines[3:] == [b"24 80", b"ours"]
    assert (await running.wait()).stages[0].stderr == b""


async def test_what_is_typed_is_read_and_echoed() -> None:
    async with sh("read a; echo got $a").open(pty=True) as running:
        await running.write(b"word\n")
        assert await said(running, b"got word") == b"word\r\ngot word\r\n"


async def test_closing_the_input_types_ctrl_d() -> None:
    async with CAT.open(pty=True) as running:
        await running.write(b"x\n")
        assert await said(running, b"x\r\nx\r\n")
        running.close_input()
        assert (await running.wait()).ok


async def test_closing_the_input_within_a_line_is_its_end_too() -> None:
    async with CAT.open(pty=True) as running:
        await running.write(b"no line end")
        running.close_input()
        with anyio.fail_after(20):
            # Echoed, then copied; a terminal shows no end.
            assert [line async for line in running.lines()] == [b"no line endno line end"]


async def test_what_is_typed_when_the_program_has_gone_is_an_error() -> None:
    async with sh("exit 0").open(pty=True) as running:
        await running.wait()
        with pytest.raises(InputClosed):
            await running.write(b"x\n")
    async with sh("stty raw -echo; echo ready; sleep 0.2").open(pty=True) as running:
        await said(running, b"ready")
        with pytest.raises(InputClosed):
            await running.write(bytes(1 << 20))
        assert (await running.wait()).ok


async def test_a_program_that_closes_its_streams_before_it_exits_is_not_hung_up_on() -> None:
    async with sh("exec <&- >&- 2>&-; sleep 0.1; exit 7").open(pty=True, check=False) as running:
        assert (await running.wait()).returncodes == (7,)


async def test_leaving_the_block_closes_the_input() -> None:
    async with sh("cat; echo end").open(pty=True) as running:
        await running.wait()
    assert running.returncodes == (0,)


async def test_ctrl_c_is_a_signal_to_the_foreground() -> None:
    heeds = sh("trap 'echo heard; exit 5' INT; echo ready; while :; do sleep 0.01; done")
    async with heeds.open(pty=True, check=False) as running:
        await said(running, b"ready")
        await running.write(b"\x03")
        await said(running, b"heard")
        assert (await running.wait()).returncodes == (5,)


async def test_the_size_can_be_set_and_changed() -> None:
    tells = "stty size; trap 'stty size; exit 0' WINCH; echo ready; while :; do sleep 0.01; done"
    async with sh(tells).open(pty=(50, 132)) as running:
        assert b"50 132" in await said(running, b"ready")
        running.resize(10, 20)
        await said(running, b"10 20")
        with pytest.raises(ValueError, match=r"pty must be \(rows, columns\).*not \(0, 20\)"):
            running.resize(0, 20)
    with pytest.raises(RuntimeError, match="resize\\(\\) needs open\\(pty=True\\)"):
        running.resize(1, 1)
    async with CAT.open(input=PIPE) as plain:
        with pytest.raises(RuntimeError, match="resize"):
            plain.resize(1, 1)
        await plain.wait()


async def test_a_shell_that_controls_jobs_is_ended_with_its_jobs(tmp_path: Path) -> None:
    job = script(
        tmp_path / "job", f"trap '' TERM HUP; : > {tmp_path}/pid.$$; while :; do sleep 60; done"
    )
    before = descriptors()
    async with Command("bash", "--norc", "-i").open(pty=True, grace=0.1) as running:
        await running.write(f"set -m; {job} &\n".encode())
        await until(lambda: noted_pids(tmp_path))
        [pid] = noted_pids(tmp_path)
        assert os.getpgid(pid) != running.pids[0]
    assert not lives(running.pids[0])
    await until(lambda: not lives(pid))
    assert descriptors() == before


async def test_discarded_stderr_stays_away_from_the_screen() -> None:
    quiet = Command("sh", "-c", "echo out; echo err >&2", stderr=DISCARD)
    async with quiet.open(pty=True) as running:
        assert [line async for line in running.lines()] == [b"out\r"]


async def test_what_cannot_start_is_told_as_ever(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_text("no program")
    for command, error in (
        (Command("no-such-program"), CommandNotFound),
        (Command("./no-such-program", cwd=tmp_path), CommandNotFound),
        (Command(plain), CommandStartError),
        (Command("true", cwd=tmp_path / "missing"), CommandStartError),
    ):
        with pytest.raises(error) as caught:
            async with command.open(pty=True):
                raise AssertionError
        assert type(caught.value) is error


async def test_it_starts_in_its_folder_with_its_environment(tmp_path: Path) -> None:
    script(tmp_path / "hello", 'echo "$A" "$1" "$(pwd)"')
    hello = Command("./hello", "d  e", cwd=tmp_path, env={"A": Secret("b  c")})
    async with hello.open(pty=True) as running:
        assert [line async for line in running.lines()] == [b"b  c d  e %b\r" % bytes(tmp_path)]


async def test_too_few_descriptors_leave_nothing() -> None:
    echo = sh("echo x")
    async with echo.open(pty=True) as running:
        await running.wait()
    before = descriptors()
    worked = []
    for count in range(14):
        with free_files(count):
            try:
                async with echo.open(pty=True) as running:
                    worked.append([line async for line in running.lines()] == [b"x\r"])
            except OSError as error:
                assert error.errno == errno.EMFILE  # noqa: PT017 - either is right
        assert descriptors() == before
    assert all(worked)
    assert 2 <= len(worked) <= 9


async def test_an_emptied_environment_finds_the_usual_programs() -> None:
    async with Command("env", env={"A": "x"}, inherit_env=False).open(pty=True) as running:
        assert b"A=x\r" in [line async for line in running.lines()]


@pytest.mark.parametrize("pty", [(0, 80), (24, 0), (70_000, 80), (-1, 5), (1, 2, 3), 24, "no"])
def test_a_size_that_no_terminal_has_is_refused(pty: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="pty must be"):
        CAT.open(pty=pty)


async def test_only_one_command_gets_the_terminal_and_all_of_it() -> None:
    with pytest.raises(ValueError, match="one command, not a pipe of 2"):
        async with (CAT | CAT).open(pty=True):
            raise AssertionError
    for options in ({"input": b"x"}, {"output": DISCARD}, {"input": [b"x"]}):
        with pytest.raises(ValueError, match="give neither"):
            CAT.open(pty=True, **options)


async def typed() -> None:
    async with sh("read a; echo got $a").open(pty=True, grace=0) as running:
        await running.write(b"word\n")
        async for _ in running.lines():
            pass


@pytest.mark.parametrize("backend", ["asyncio", "uvloop", "trio"])
def test_cancelled_at_any_step_nothing_is_left(
    backend: Literal["asyncio", "uvloop", "trio"],
) -> None:
    cancel_everywhere(typed, backend=backend, grace=2).check()
