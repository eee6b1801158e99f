"""Commands are derived from others, and started as subprocess starts them."""

from __future__ import annotations

import logging
import os
import pickle
import resource
from pathlib import Path
from typing import Any

import pytest

from aconcur.process import DISCARD, Command, CommandStartError, Secret, StageEvent
from tests.support.commands import lives, noted_pids, python, sh
from tests.support.states import until

as_root = pytest.mark.skipif(os.getuid() != 0, reason="only root may change the user")


def test_a_call_adds_arguments() -> None:
    git = Command("git", "-C", "/", env={"A": "1"})
    assert git("log", "-1") == Command("git", "-C", "/", "log", "-1", env={"A": "1"})
    assert git.args == ("git", "-C", "/")
    with pytest.raises(TypeError, match="argument 3 must be str"):
        git(5)  # type: ignore[arg-type]


def test_with_replaces_and_the_original_stays() -> None:
    command = Command("a", "b", env={"A": "1", "B": "2"}, cwd="/", ok_codes={1})
    assert command.with_() == command
    assert command.with_(args=["c"]).args == ("a", "c")
    assert command.with_(env={"B": "3", "C": None}) == Command(
        "a", "b", env={"A": "1", "B": "3", "C": None}, cwd="/", ok_codes={1}
    )
    assert command.with_(env=None, cwd=None, ok_codes={0}) == Command("a", "b")
    assert command.with_(stderr=DISCARD, umask=0o77) != command
    assert command == Command("a", "b", env={"A": "1", "B": "2"}, cwd="/", ok_codes={1})
    wrong: Any = "bc"
    with pytest.raises(TypeError, match="args must be a list of arguments, not 'bc'"):
        command.with_(args=wrong)
    pipe = (command | Command("c")).with_(cwd="/tmp")
    assert pipe == command.with_(cwd="/tmp") | Command("c", cwd="/tmp")
    assert pickle.loads(pickle.dumps(pipe)) == pipe


async def test_the_mask_and_the_limits_hold_from_the_first_instruction() -> None:
    limits: dict[int, int | tuple[int, int]]
    limits = {resource.RLIMIT_NOFILE: (50, 60), resource.RLIMIT_CORE: 0}
    look = sh("umask; ulimit -Sn; ulimit -Hn; ulimit -c; nice").with_(
        umask=0o27, rlimits=limits, nice=7
    )
    done = await (look | Command("cat")).run()
    assert done.text().split() == ["0027", "50", "60", "0", "7"]
    with pytest.raises(CommandStartError, match="was not found"):
        await Command("no-such-program", nice=1).run()


async def test_more_descriptors_are_passed() -> None:
    reading, writing = os.pipe()
    try:
        command = Command("sh", "-c", f"echo hello >/dev/fd/{writing}", pass_fds=[writing])
        await command.run()
        assert os.read(reading, 100) == b"hello\n"
    finally:
        os.close(reading)
        os.close(writing)


@as_root
async def test_another_user_and_group() -> None:
    command = Command("id", user="nobody", group=65_534, extra_groups=[1])
    assert "uid=65534" in (await command.run()).text()


async def test_a_session_of_its_own_is_ended_all_the_same(tmp_path: Path) -> None:
    alone = Command("sh", "-c", f": > {tmp_path}/pid.$$; sleep 60", start_new_session=True)
    import anyio

    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon((alone | alone).run)
            await until(lambda: len(noted_pids(tmp_path)) == 2)
            assert [os.getsid(pid) for pid in noted_pids(tmp_path)] == noted_pids(tmp_path)
            scope.cancel()
    assert not any(map(lives, noted_pids(tmp_path)))


async def test_starts_and_ends_are_told_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "aconcur.process")
    told: list[StageEvent] = []
    pipe = Command("sh", "-c", "exit 3", env={"KEY": Secret("hush-hush")}) | Command("true")
    done = await pipe.run(check=False, on_start=told.append, on_end=told.append)
    starts, ends = told[:2], sorted(told[2:], key=lambda event: event.stage)
    assert [(e.stage, e.returncode, e.seconds) for e in starts] == [
        (0, None, None),
        (1, None, None),
    ]
    assert [(e.stage, e.returncode) for e in ends] == [(0, 3), (1, 0)]
    assert [e.pid for e in starts] == [e.pid for e in ends]
    assert all(0 < (e.seconds or 0) <= done.seconds for e in ends)
    assert starts[0].line == "KEY='***' sh -c 'exit 3'"
    assert "hush" not in caplog.text
    assert len(caplog.records) == 4
    assert "exited with 3 after" in caplog.text
    caplog.clear()
    async with pipe.open(check=False, on_end=told.append) as running:
        await running.wait()
    assert len(told) == 6


async def test_without_a_listener_nothing_is_formatted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aconcur.process._driver.Driver._line", lambda *_: pytest.fail("formatted"))
    await Command("true").run()


# What an error says


async def test_a_failure_shows_the_last_lines() -> None:
    from aconcur.process import CommandFailed

    many = "for i in 1 2 3 4 5 6 7; do echo line $i >&2; done; exit 1"
    with pytest.raises(CommandFailed, match=r"exited with 1:(\n  line [3-7]){5}$"):
        await sh(many).run()
    with pytest.raises(CommandFailed, match=r"exited with 1: on stdout$"):
        await sh("echo on stdout; exit 1").run()
    long = python("import sys; print('x' * 5000, file=sys.stderr); sys.exit(1)")
    with pytest.raises(CommandFailed) as caught:
        await long.run()
    assert len(str(caught.value)) < 700


@pytest.mark.parametrize(
    ("first_line", "message"),
    [
        ("#!/no/such/interpreter -x", "its interpreter /no/such/interpreter was not found: inst"),
        ("#!/bin/sh\r", r"its first line, '#!/bin/sh\\r', ends in a carriage return: .*dos2unix"),
    ],
)
async def test_a_script_that_cannot_start_says_why(
    first_line: str, message: str, tmp_path: Path
) -> None:
    script = tmp_path / "script"
    script.write_bytes(f"{first_line}\necho x\n".encode())
    script.chmod(0o755)
    for command in (
        Command(script),
        Command("./script", cwd=tmp_path),
        Command("script", env={"PATH": str(tmp_path)}),
    ):
        with pytest.raises(CommandStartError, match=message) as caught:
            await command.run()
        assert "install it, or put its folder on PATH" not in str(caught.value)
        assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


async def test_a_decoding_error_names_the_command() -> None:
    done = await Command("printf", r"a\377").run()
    with pytest.raises(UnicodeDecodeError, match=r"in the output of printf 'a\\377': pass its enc"):
        done.text()
