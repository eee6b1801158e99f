"""through: a command for each item, bytes in and bytes out."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path
from typing import Any, Literal

import pytest

from aconcur.pipeline import COLLECT, Retry, Run, stage
from aconcur.process import Command, CommandFailed, CommandNotFound, CommandTimeout
from aconcur.testing import cancel_everywhere
from tests.support.commands import sh
from tests.support.states import until

CAT = Command("cat")


def balanced(run: Run[Any]) -> None:
    for account in run.report.stages:
        done = account.out + account.filtered + account.failed + account.cancelled
        assert (account.entered, account.inside) == (done, 0), account


@pytest.mark.parametrize("workers", [1, 4])
async def test_bytes_of_any_size_keep_their_order(workers: int) -> None:
    items = [b"x" * size for size in (200_000, 0, 1, 65_537, 3)]
    pipeline = stage(bytes).through(Command("gzip", "-1"), workers=workers).map(gzip.decompress)
    assert await pipeline.collect(items) == items


async def test_a_pipe_of_commands() -> None:
    pipe = Command("tr", "a-z", "A-Z") | Command("sha256sum")
    pipeline = stage(bytes).through(pipe, workers=2).map(lambda line: line.split()[0].decode())
    assert await pipeline.collect([b"one", b"two"]) == [
        hashlib.sha256(word).hexdigest() for word in (b"ONE", b"TWO")
    ]


def test_its_name_is_the_programs() -> None:
    assert repr(stage(bytes).through(Command("/bin/cat") | Command("wc", "-c"), workers=2)) == (
        "<Pipeline bytes | cat | wc ×2>"
    )
    assert repr(stage(bytes).through(CAT, name="copy")) == "<Pipeline bytes | copy>"


async def test_a_failure_has_its_item_stage_and_command() -> None:
    grep = Command("grep", "x")
    async with stage(bytes).through(grep, on_error=COLLECT).open([b"x", b"y"]) as run:
        assert [item async for item in run] == [b"x\n"]
    [failure] = run.failures
    assert (failure.item, failure.stage, failure.attempts) == (b"y", "grep", 1)
    assert isinstance(failure.error, CommandFailed)
    assert run.report.stages[1].failed == 1
    balanced(run)


async def test_an_error_ends_the_run_with_the_original() -> None:
    with pytest.raises(CommandNotFound) as caught:
        await stage(bytes).through(Command("no-such-program")).collect([b"x"], unwrap=True)
    assert caught.value.__notes__ == ["in stage 'no-such-program', item: b'x'"]


async def test_the_note_shows_little_of_a_large_item() -> None:
    with pytest.raises(CommandFailed) as caught:
        await stage(bytes).through(Command("false")).collect([b"x" * 100_000], unwrap=True)
    [note] = caught.value.__notes__
    assert len(note) < 200
    assert note.startswith("in stage 'false', item: b'xxx")


async def test_no_text_by_mistake() -> None:
    texts: Any = stage(str)
    with pytest.raises(TypeError, match=r"needs bytes, not str: convert with map"):
        await texts.through(CAT).collect(["x"], unwrap=True)


async def test_a_command_that_takes_too_long_is_tried_again(tmp_path: Path) -> None:
    mark = tmp_path / "tried"
    slow_at_first = sh(f"test -e {mark} || {{ touch {mark}; echo part; exec sleep 60; }}; cat")
    pipeline = stage(bytes).through(slow_at_first, timeout=2, retry=Retry(2, backoff=0))
    assert await pipeline.collect([b"x"]) == [b"x"]


async def test_a_timeout_has_what_was_read() -> None:
    slow = sh("echo part; exec sleep 60")
    async with stage(bytes).through(slow, timeout=1, on_error=COLLECT).open([b"x"]) as run:
        assert [item async for item in run] == []
    [failure] = run.failures
    assert isinstance(failure.error, CommandTimeout)
    assert failure.error.completed.stdout == b"part\n"


async def test_whoever_leaves_ends_the_commands() -> None:
    async with stage(bytes).through(Command("sleep", "60"), workers=3).open([b""] * 9) as run:
        await until(lambda: run.report.stages[1].inside >= 3)
    assert run.report.stages[1].cancelled >= 3
    balanced(run)


@pytest.mark.parametrize("backend", ["asyncio", "uvloop", "trio"])
def test_cancelled_at_every_step(backend: Literal["asyncio", "uvloop", "trio"]) -> None:
    runs: list[Run[bytes]] = []

    async def run() -> None:
        async with stage(bytes).through(CAT).open([b"x"]) as opened:
            runs[:] = [opened]
            assert [item async for item in opened] == [b"x"]

    def books() -> None:
        for one in runs:
            balanced(one)

    cancel_everywhere(run, backend=backend, twice=False, invariant=books, grace=1.0).check()
