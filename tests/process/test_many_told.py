"""run_many(tag=, on_progress=): whose line it is, and how far all are."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aconcur.process import (
    CAPTURE,
    Append,
    Command,
    ManyProgress,
    Output,
    Tee,
    run_many,
)
from tests.support.commands import sh

# Its two lines come in three pieces, the last one without a line end.
TALK = "printf 'one '; sleep 0.02; printf 'two\\nthr'; sleep 0.02; printf ee"


async def lines_of(
    output: Output | Callable[[int], Output], tag: str | Callable[[int], str] = "{index}: "
) -> list[bytes]:
    jobs = [sh(TALK) for _ in range(4)]
    async with run_many(jobs, limit=4, output=output, tag=tag, ordered=True) as outcomes:
        return [outcome.result().stdout async for outcome in outcomes]


WANTED = [[f"{n}: one two\n".encode(), f"{n}: three\n".encode()] for n in range(4)]


def by_command(data: bytes) -> list[list[bytes]]:
    lines = data.splitlines(keepends=True)
    return [[line for line in lines if line.startswith(b"%d" % n)] for n in range(4)]


async def test_each_line_says_whose_it_is() -> None:
    assert await lines_of(CAPTURE) == [b"".join(two) for two in WANTED]
    named = await lines_of(CAPTURE, lambda index: f"job-{index}\t")
    assert named[3] == b"job-3\tone two\njob-3\tthree\n"


async def test_lines_of_several_commands_are_whole_in_one_file(tmp_path: Path) -> None:
    path = tmp_path / "all"
    path.write_bytes(b"before\n")
    assert await lines_of(Append(path)) == [b""] * 4
    assert path.read_bytes().startswith(b"before\n")
    assert by_command(path.read_bytes()) == WANTED
    with path.open("wb") as file:
        await lines_of(file)
    assert by_command(path.read_bytes()) == WANTED


async def test_a_function_gets_whole_lines() -> None:
    pieces: list[bytes] = []
    kept = await lines_of(Tee(pieces.append))
    assert kept == [b"".join(two) for two in WANTED]
    assert all(piece.endswith(b"\n") for piece in pieces)
    assert by_command(b"".join(pieces)) == WANTED
    pieces.clear()
    await lines_of(lambda _: pieces.append)
    assert by_command(b"".join(pieces)) == WANTED


def test_they_come_to_our_own_stdout_in_order_with_what_was_printed() -> None:
    program = """
import anyio
from aconcur.process import INHERIT, Command, run_many
async def main():
    print("first")
    async with run_many([Command("echo", "x")], output=INHERIT, tag="{index}> ") as outcomes:
        async for _ in outcomes: pass
    print("last")
anyio.run(main)
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert (ran.stdout, ran.stderr) == (b"first\n0> x\nlast\n", b"")


@pytest.mark.parametrize(
    ("tag", "error", "said"),
    [
        ("same", ValueError, "tag='same' is the same for all: put {index} into it"),
        (3, TypeError, "tag must be a text with {index} or a function of the index, not 3"),
    ],
)
async def test_a_tag_that_tells_nothing_is_refused(
    tag: object, error: type[Exception], said: str
) -> None:
    with pytest.raises(error) as caught:
        async with run_many([], tag=tag):  # type: ignore[arg-type]
            raise AssertionError
    assert str(caught.value) == said


async def test_a_file_of_its_own_needs_no_tag(tmp_path: Path) -> None:
    async with run_many([Command("true")], output=tmp_path / "{index}", tag="{index}") as outcomes:
        [outcome] = [outcome async for outcome in outcomes]
    assert "tag= works with" in str(outcome.error)


async def test_progress_counts_what_has_ended_and_what_failed() -> None:
    told: list[ManyProgress] = []
    jobs = [Command("true"), sh("exit 3"), Command("true")]
    async with run_many(jobs, limit=1, on_progress=told.append) as outcomes:
        assert len([outcome async for outcome in outcomes]) == 3
    assert [(one.done, one.failed, one.running, one.total) for one in told] == [
        (1, 0, 0, 3),
        (2, 1, 0, 3),
        (3, 1, 0, 3),
    ]
    async with run_many((job for job in jobs), on_progress=told.append) as outcomes:
        assert len([outcome async for outcome in outcomes]) == 3
    assert (told[-1].done, told[-1].total) == (3, None)


async def test_a_progress_function_that_raises_ends_all() -> None:
    def told(progress: ManyProgress) -> None:
        raise KeyError(progress.done)

    with pytest.raises(KeyError):  # noqa: PT012 - which of the two raises it
        async with run_many([Command("true"), sh("sleep 60")], limit=2, on_progress=told) as found:
            async for _ in found:
                pass


async def test_a_coroutine_function_as_progress_is_refused() -> None:
    async def told(progress: ManyProgress) -> None: ...

    with pytest.raises(TypeError, match="coroutine function"):
        async with run_many([], on_progress=told):
            raise AssertionError
    with pytest.raises(TypeError, match="must not return an awaitable"):  # noqa: PT012
        async with run_many([Command("true")], on_progress=lambda it: told(it)) as found:
            async for _ in found:
                pass
    for option in ("on_progress", "on_start", "on_end"):
        hidden: dict[str, Any] = {option: lambda it: told(it)}
        with pytest.raises(TypeError, match="must not return an awaitable"):
            await Command("true").run(**hidden)
