"""A secret reaches its program and nothing else."""

from __future__ import annotations

import copy
import logging
import pickle
import subprocess
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aconcur.process import Command, CommandError, CommandPipe, CommandStartError, Secret
from tests.support.commands import children, python

HUSH = "hush-hush"


class Hidden(str):
    """Text whose own repr, in the frame of the test, does not show it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "hidden"


@pytest.mark.parametrize("value", [HUSH, HUSH.encode()], ids=["str", "bytes"])
def test_no_way_of_showing_shows_it(value: str | bytes) -> None:
    secret = Secret(value)
    shown = [repr(secret), str(secret), f"{secret:>9}", f"{secret!r}", "%s" % secret]  # noqa: UP031
    assert not [text for text in shown if "hush" in text]
    assert secret.reveal() == value


def test_it_compares_by_value() -> None:
    assert Secret("a") == Secret("a") == Secret(b"a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a"), Secret("b")}) == 2
    assert copy.copy(Secret("a")) == copy.deepcopy(Secret("a")) == Secret("a")


def test_it_does_not_pickle() -> None:
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(Secret(HUSH))


def test_it_holds_text_or_bytes() -> None:
    with pytest.raises(TypeError, match="str or bytes, not int") as caught:
        Secret(1234567)  # type: ignore[arg-type]
    assert "1234567" not in str(caught.value)


@pytest.mark.parametrize("value", [HUSH, b"\xff\xc0 pass \x9d\n\xfe"], ids=["str", "bytes"])
async def test_the_program_gets_it(value: str | bytes) -> None:
    command = python("import os, sys; sys.stdout.buffer.write(os.environb[b'KEY'])")
    with_key = Command(*command.args, env={"KEY": Secret(value)})
    done = await with_key.run()
    assert done.stdout == (value if isinstance(value, bytes) else value.encode())


@pytest.mark.parametrize(
    "command",
    [
        Command("no-such-program", env={"KEY": Secret(HUSH)}),
        Command("true", env={"KEY": Secret(HUSH)}, cwd="/no/such/folder"),
        Command("sh", "-c", "exit 3", env={"KEY": Secret(HUSH)}),
        Command("true", "x" * 3_000_000, env={"KEY": Secret(HUSH)}),
        Command("/", env={"KEY": Secret(HUSH)}),
    ],
    ids=["missing", "cwd", "fails", "too long", "folder"],
)
async def test_no_error_shows_it_in_any_frame(
    command: Command, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(CommandError) as caught:
        await command.run()
    said = "".join(
        traceback.TracebackException.from_exception(caught.value, capture_locals=True).format()
    )
    assert "run_stages" in said
    assert HUSH not in said + caplog.text + repr(caught.value)
    assert HUSH.encode() not in pickle.dumps(caught.value)
    assert caught.value.__context__ is None


async def test_nobody_else_can_read_it(tmp_path: Path) -> None:
    script = "import sys; print(open('/proc/self/cmdline').read())"
    done = await Command(*python(script).args, env={"KEY": Secret(HUSH)}, cwd=tmp_path).run()
    assert HUSH not in done.text()


async def test_an_error_after_a_spell_of_pickling_is_the_same() -> None:
    with pytest.raises(CommandStartError) as caught:
        await Command("no-such-program").run()
    again = pickle.loads(pickle.dumps(caught.value))
    assert (type(again), str(again), again.stage, again.errno, again.filename) == (
        type(caught.value),
        str(caught.value),
        0,
        2,
        "no-such-program",
    )


@pytest.mark.parametrize(
    "make",
    [
        lambda hidden: Command("true", env={"KEY": Secret(f"{hidden}\0")}),
        lambda hidden: Command("true", env={"KEY": Secret(f"{hidden}\ud800")}),
        lambda hidden: Command("true").with_(env={"KEY": Secret(f"{hidden}\0")}),
        lambda hidden: Command("true", env={"KEY": Secret(hidden), "": "x"}),
        lambda hidden: Command("true", Secret(hidden)),  # type: ignore[arg-type]
        lambda hidden: Secret([hidden]),  # type: ignore[arg-type]
    ],
    ids=["NUL", "surrogate", "with_", "beside a wrong name", "argument", "type"],
)
def test_a_refused_one_is_in_no_frame(make: Callable[[Hidden], object]) -> None:
    with pytest.raises((ValueError, TypeError)) as caught:
        make(Hidden(HUSH))
    error = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    assert HUSH not in "".join(error.format())
    assert caught.value.__context__ is None


def test_a_command_that_was_refused_has_a_repr() -> None:
    with pytest.raises(TypeError) as caught:
        Command("true", 5)  # type: ignore[arg-type]
    error = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    assert "<Command, not initialised>" in "".join(error.format())
    assert repr(CommandPipe.__new__(CommandPipe)) == "<CommandPipe, not initialised>"


async def test_an_interrupt_amid_a_start_does_not_show_it(monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupted(BaseException):
        pass

    started: list[int] = []

    class Interrupting(subprocess.Popen[bytes]):
        def __init__(self, *args: Any, **options: Any) -> None:  # noqa: ANN401
            super().__init__(*args, **options)
            started.append(self.pid)
            raise Interrupted

    command = Command("true", env={"KEY": Secret(HUSH)})
    await Command("true").run()
    monkeypatch.setattr("subprocess.Popen", Interrupting)
    with pytest.raises(Interrupted) as caught:
        await command.run()
    monkeypatch.undo()
    assert str(started[0]) not in children()
    error = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    assert HUSH not in "".join(error.format())
