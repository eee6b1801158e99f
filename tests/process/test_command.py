"""Commands and pipes are values."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aconcur.process import DISCARD, STDOUT, Command, CommandPipe, Secret

# Of a type that the type checker would refuse.
WRONG_INT: Any = 5
WRONG_SECRET: Any = Secret("hush")
WRONG_TEXT: Any = "no"


def test_commands_are_values() -> None:
    one = Command("grep", "-c", "x", env={"A": "1"}, ok_codes=[1, 0])
    same = Command("grep", b"-c", Path("x"), env={"A": "1"}, ok_codes={0, 1})
    assert one.args == same.args == ("grep", "-c", "x")
    assert Command("a") == Command("a") != Command("b")
    assert len({Command("a") | Command("b"), CommandPipe(Command("a"), Command("b"))}) == 1
    assert Command("a") != CommandPipe(Command("a"))
    assert Command("a") != "a"


def test_a_bar_joins_commands_and_pipes_in_order() -> None:
    a, b, c, d = map(Command, "abcd")
    assert ((a | b) | (c | d)).commands == (a | (b | (c | d))).commands == (a, b, c, d)
    assert a.commands == (a,)
    with pytest.raises(TypeError):
        a | "b"  # type: ignore[operator]


def test_a_pipe_needs_a_command() -> None:
    with pytest.raises(ValueError, match="at least one command"):
        CommandPipe()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: Command("head", "-n", WRONG_INT),
            "argument 2 must be str, .* not 5",
        ),
        (lambda: Command("curl", WRONG_SECRET), "argument 1 is a Secret.*pass it by env="),
        (lambda: Command(""), "the program must have a name"),
        (lambda: Command("a", "b\0c"), "argument 1 must not contain NUL"),
        (lambda: Command("a", env={"": "x"}), "an env name must be text"),
        (lambda: Command("a", env={"A=B": "x"}), "without '='"),
        (
            lambda: Command("a", env={"A": WRONG_INT}),
            r"env\['A'\] must be str, .* not int",
        ),
        (lambda: Command("a", env={"A": Secret("x\0y")}), r"env\['A'\] must not contain NUL"),
        (
            lambda: Command("a", stderr=WRONG_TEXT),
            "stderr must be CAPTURE, DISCARD.*STDOUT.* not str",
        ),
        (lambda: Command("a", ok_codes=()), "ok_codes must name at least one status"),
        (lambda: Command("a", ok_codes=WRONG_INT), "ok_codes must be statuses, .* not 5"),
        (lambda: Command("a", ok_codes=["1"]), r"ok_codes must be statuses, .* not \['1'\]"),  # type: ignore[list-item]
        (lambda: Command("a", env=WRONG_TEXT), "env must be a mapping .* not str"),
        (lambda: Command("a", cwd=WRONG_INT), "cwd must be a str or a path, not 5"),
        (lambda: CommandPipe(Command("a"), WRONG_TEXT), "is made of commands, not 'no'"),
    ],
)
def test_what_no_program_can_get_is_refused_at_once(
    make: Callable[[], object], message: str
) -> None:
    with pytest.raises((TypeError, ValueError), match=message) as caught:
        make()
    assert "hush" not in str(caught.value)


def test_a_line_for_people_shows_what_is_run() -> None:
    pipe = Command("echo", "it's", "a b") | Command("wc", "-c", stderr=DISCARD)
    assert str(pipe) == """echo 'it'"'"'s' 'a b' | wc -c 2>/dev/null"""
    assert repr(pipe) == f"<CommandPipe {pipe}>"
    assert repr(Command("ls")) == "<Command ls>"


@pytest.mark.parametrize(
    "command",
    [
        Command("printf", "%s|", "a b", "it's", "$HOME", "*", "", "\\", "é", "\n"),
        Command("env", env={"A": "it's", "B": "2"}, inherit_env=False),
        Command("sh", "-c", 'echo "$A${HOME-none}"', env={"A": "x y", "HOME": None}),
        Command("sh", "-c", "echo $0 >&2; pwd", "name", cwd="/", stderr=STDOUT),
        Command("sh", "-c", "env | grep odd", env={"odd.name": "x"}),
        Command("printf", b"%s", b"\xff\xfe"),
        Command("printf", "b\\na\\n") | Command("sort") | Command("cat", "-n", stderr=DISCARD),
    ],
    ids=lambda command: str(command)[:24],
)
async def test_the_shell_line_does_the_same(command: Command) -> None:
    shell = Command("sh", "-c", os.fsencode(str(command)))
    assert (await command.run()).stdout == (await shell.run()).stdout != b""


async def test_a_program_named_like_an_assignment_is_one_in_the_shell_line_too(
    tmp_path: Path,
) -> None:
    program = tmp_path / "X=1"
    program.write_text("#!/bin/sh\necho ran\n")
    program.chmod(0o755)
    command = Command("X=1", env={"PATH": f"{tmp_path}:{os.environ['PATH']}"})
    shell = Command("sh", "-c", str(command))
    assert (await command.run()).stdout == (await shell.run()).stdout == b"ran\n"


def test_the_shell_line_masks_secrets() -> None:
    command = Command("openssl", env={"password": Secret("hush"), "A": "x"})
    assert str(command) == "password='***' A=x openssl"
    assert "hush" not in repr(command | command)


def test_a_command_can_be_pickled_but_not_with_a_secret() -> None:
    pipe = Command("a", "b", env={"C": "d"}, cwd="/") | Command("e")
    assert pickle.loads(pickle.dumps(pipe)) == pipe
    with pytest.raises(TypeError, match="a Secret cannot be pickled"):
        pickle.dumps(Command("a", env={"A": Secret("hush")}))
