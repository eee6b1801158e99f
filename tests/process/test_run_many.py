"""run_many: so many at a time, every outcome told."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from aconcur.process import (
    DISCARD,
    Command,
    CommandFailed,
    CommandNotFound,
    Job,
    Runnable,
    run_many,
)
from tests.support.commands import lives, noted_pids, sh
from tests.support.states import until

CAT = Command("cat")


async def test_every_outcome_comes_once() -> None:
    async with run_many(((CAT | CAT, b"%d" % n) for n in range(12)), limit=4) as outcomes:
        found = {outcome.index: outcome.result().stdout async for outcome in outcomes}
    assert found == {n: b"%d" % n for n in range(12)}


async def test_in_order_where_asked_for() -> None:
    jobs = [sh(f"sleep 0.{3 - n}; echo {n}") for n in range(4)]
    async with run_many(jobs, limit=4, ordered=True) as outcomes:
        assert [o.result().text() async for o in outcomes] == ["0\n", "1\n", "2\n", "3\n"]
    async with run_many(jobs[1:], limit=4) as outcomes:
        assert (await anext(outcomes)).index == 2


async def test_one_failure_hides_no_other() -> None:
    jobs: list[Runnable] = [sh("exit 3"), Command("no-such-program"), Command("echo", "x")]
    async with run_many(jobs, ordered=True) as outcomes:
        failed, missing, fine = [outcome async for outcome in outcomes]
    assert isinstance(failed.error, CommandFailed)
    assert isinstance(missing.error, CommandNotFound)
    assert (fine.error, fine.result().stdout, fine.command) == (None, b"x\n", jobs[2])
    with pytest.raises(CommandFailed):
        failed.result()
    async with run_many(jobs[:1], check=False) as outcomes:
        assert [o.result().returncodes async for o in outcomes] == [(3,)]


async def test_commands_may_come_from_anywhere_and_none() -> None:
    async def some() -> AsyncIterator[Command]:
        for word in ("a", "b"):
            await anyio.lowlevel.checkpoint()
            yield Command("echo", word)

    async with run_many(some(), ordered=True) as outcomes:
        assert [o.result().stdout async for o in outcomes] == [b"a\n", b"b\n"]
    async with run_many([]) as outcomes:
        assert [o async for o in outcomes] == []


async def test_what_the_iterable_raises_comes_after_what_ran() -> None:
    def some() -> Iterator[Command]:
        yield Command("echo", "x")
        raise LookupError

    async with run_many(some()) as outcomes:
        assert (await anext(outcomes)).result().stdout == b"x\n"
        with pytest.raises(LookupError):
            await anext(outcomes)


async def test_never_more_than_the_limit() -> None:
    # Each tells when it began and when it was about to end: whoever overlaps ran at once.
    stamps = sh("date +%s%N; sleep 0.02; date +%s%N")
    async with run_many([stamps] * 12, limit=3) as outcomes:
        texts = [outcome.result().text() async for outcome in outcomes]
    lives = [tuple(map(int, text.split())) for text in texts]
    at_once = [sum(begin <= at <= end for begin, end in lives) for at, _ in lives]
    assert len(at_once) == 12
    assert max(at_once) <= 3


async def test_an_endless_input_waits_for_its_reader() -> None:
    drawn = 0

    def endless() -> Iterator[Command]:
        nonlocal drawn
        while True:
            drawn += 1
            yield Command("true")

    async with run_many(endless(), limit=2) as outcomes:
        await until(lambda: "0/2 busy, 4 ready" in repr(outcomes))
        assert repr(outcomes) == "<Outcomes: 0/2 busy, 4 ready, 0 done>"
        assert drawn <= 5


async def test_leaving_early_ends_what_runs(tmp_path: Path) -> None:
    jobs = [Command("true"), *[sh(f": > {tmp_path}/pid.$$; exec sleep 60")] * 9]
    async with run_many(jobs, limit=3) as outcomes:
        async for outcome in outcomes:
            assert outcome.index == 0
            await until(lambda: len(noted_pids(tmp_path)) == 3)
            break
    assert not any(map(lives, noted_pids(tmp_path)))


async def test_an_error_in_the_block_is_raised_as_it_is() -> None:
    with pytest.raises(LookupError, match="mine"):
        async with run_many([Command("sleep", "60")]):
            raise LookupError("mine")


async def test_cancelled_it_leaves_nothing() -> None:
    with anyio.move_on_after(0.05) as scope:
        async with run_many([Command("sleep", "60")] * 5, limit=5) as outcomes:
            await anext(outcomes)
    assert scope.cancelled_caught


@pytest.mark.parametrize("wrong", [5, "ls", (CAT,), (CAT, b"", DISCARD, b"")])
async def test_what_is_no_command_hides_no_other(wrong: Runnable) -> None:
    async with run_many([CAT, wrong, CAT], ordered=True) as outcomes:
        first, second, third = [outcome async for outcome in outcomes]
    assert first.error is third.error is None
    assert isinstance(second.error, TypeError)
    assert "run_many needs commands, pairs (command, input) or triples" in str(second.error)


async def test_one_command_is_not_many() -> None:
    with pytest.raises(TypeError, match=r"needs several commands: \[<Command cat>\], not <Com"):
        async with run_many(CAT):  # type: ignore[arg-type]
            pass


async def test_the_default_limit_is_two_for_each_usable_processor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("aconcur.process._run_many.usable_cpus", lambda: 1)
    async with run_many([]) as outcomes:
        assert repr(outcomes).startswith("<Outcomes: 0/2 busy")


async def test_a_limit_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="limit must be at least 1, not 0"):
        async with run_many([], limit=0):
            pass


def test_more_commands_than_descriptors(
    anyio_backend_name: str, anyio_backend_options: dict[str, Any]
) -> None:
    options = {"use_uvloop": True} if "use_uvloop" in anyio_backend_options else {}
    program = f"""
import anyio, resource
from aconcur.process import DISCARD, Command, run_many
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
async def main():
    pipe = Command("cat") | Command("cat")
    async with run_many((pipe, b"%d" % n) for n in range(130)) as outcomes:
        print(sum([int(o.result().stdout) async for o in outcomes]))
anyio.run(main, backend={anyio_backend_name!r}, backend_options={options!r})
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert (ran.stdout, ran.stderr, ran.returncode) == (b"8385\n", b"", 0)


@pytest.mark.parametrize("way", ["function", "triple"])
async def test_a_file_that_two_commands_would_empty_is_refused(way: str, tmp_path: Path) -> None:
    file = tmp_path / "same"
    jobs: list[Job] = [(CAT, b"first", file), (CAT, b"second", tmp_path / "." / "same")]
    null = Path(os.devnull)
    jobs += [(CAT, b"", null), (CAT, b"", null)]
    output: Any = DISCARD
    if way == "function":
        files = [file, file, null, null]
        jobs, output = [(CAT, b"first"), (CAT, b"second"), CAT, CAT], files.__getitem__
    async with run_many(jobs, output=output, ordered=True) as outcomes:
        errors = [outcome.error async for outcome in outcomes]
    assert [type(error) for error in errors] == [type(None), ValueError, type(None), type(None)]
    assert "the file of an earlier command too" in str(errors[1])
    assert file.read_bytes() == b"first"


@pytest.mark.parametrize("leave", ["break", "error", "cancel"])
async def test_async_commands_are_closed_before_the_block_is_left(leave: str) -> None:
    closed: list[bool] = []
    given: list[Command] = []

    async def commands() -> AsyncIterator[Command]:
        task = anyio.get_current_task().name
        try:
            for seconds in ("0", "30", "30", "30", "30"):
                given.append(Command("sleep", seconds))
                yield given[-1]
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.lowlevel.checkpoint()
            closed.append(anyio.get_current_task().name == task)

    with anyio.CancelScope() as scope:
        with pytest.raises(KeyError) if leave == "error" else nullcontext():
            async with run_many(commands(), limit=2) as outcomes:
                async for _ in outcomes:
                    await until(lambda: len(given) == 4)  # it waits for room
                    if leave == "error":
                        raise KeyError
                    if leave == "cancel":
                        scope.cancel()
                        await anyio.sleep_forever()
                    break
    assert closed == [True]


async def test_a_generator_of_commands_is_closed_when_the_block_is_left() -> None:
    closed: list[str] = []

    def commands() -> Iterator[Command]:
        try:
            while True:
                yield Command("true")
        finally:
            closed.append("closed")

    given = commands()
    async with run_many(given, limit=2) as outcomes:
        await anext(outcomes)
    assert closed == ["closed"]
