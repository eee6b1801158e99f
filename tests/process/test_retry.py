"""run(retry=…): a command that failed runs again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from aconcur.pipeline import Retry
from aconcur.process import (
    CAPTURE,
    DISCARD,
    Command,
    CommandFailed,
    CommandNotFound,
    CommandTimeout,
    Input,
    run_many,
)
from tests.support.commands import sh

AT_ONCE = Retry(attempts=4, backoff=0)


def third_time_lucky(folder: Path, failure: str = "exit 3") -> Command:
    """Return a command that notes each attempt, and succeeds at the third one."""
    return sh(
        f"echo >>{folder}/attempts; n=$(wc -l <{folder}/attempts); echo try $n; cat; "
        f"[ $n -ge 3 ] || {{ {failure}; }}"
    )


def attempts(folder: Path) -> int:
    return (folder / "attempts").read_text().count("\n")


@pytest.mark.parametrize("given", [b"data", "data", [b"da", b"ta"]], ids=["bytes", "text", "list"])
async def test_every_attempt_gets_the_whole_input_and_the_last_ones_output_counts(
    given: Input, tmp_path: Path
) -> None:
    done = await third_time_lucky(tmp_path).run(input=given, retry=AT_ONCE)
    assert done.stdout == b"try 3\ndata"
    assert attempts(tmp_path) == 3


async def test_an_output_file_holds_the_last_attempt_only(tmp_path: Path) -> None:
    path = tmp_path / "out"
    await third_time_lucky(tmp_path).run(output=path, retry=AT_ONCE)
    assert path.read_bytes() == b"try 3\n"


async def test_an_attempt_that_takes_too_long_is_ended_and_made_again(tmp_path: Path) -> None:
    slow = third_time_lucky(tmp_path, "sleep 60")
    done = await slow.run(timeout=0.5, grace=0, retry=AT_ONCE)
    assert done.stdout == b"try 3\n"


async def test_the_last_failure_is_raised_and_says_how_often(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed) as caught:
        await third_time_lucky(tmp_path).run(retry=Retry(attempts=2, backoff=0))
    assert caught.value.__notes__ == ["the last of 2 attempts"]
    assert attempts(tmp_path) == 2


async def test_without_check_the_last_status_is_returned(tmp_path: Path) -> None:
    command = third_time_lucky(tmp_path)
    done = await command.run(check=False, retry=Retry(attempts=2, backoff=0))
    assert (done.returncodes, done.stdout) == ((3,), b"try 2\n")


async def test_other_errors_than_those_named_are_raised_at_once() -> None:
    counted: list[int] = []

    def delay(_: Exception, failed: int) -> float:
        counted.append(failed)
        return 0.0

    retry = Retry(attempts=9, on=CommandTimeout, delay=delay)

    for command, error in ((sh("exit 3"), CommandFailed), (Command("no-such"), CommandNotFound)):
        with pytest.raises(error) as caught:
            await command.run(retry=retry)
        assert not hasattr(caught.value, "__notes__")
    assert not counted


async def once() -> AsyncIterator[bytes]:
    yield b"x"


MAKERS: dict[str, Callable[[], Any]] = {
    "iterator": lambda: iter([b"x"]),
    "async": once,
    "file": lambda: open("/dev/null", "rb"),  # noqa: PTH123, SIM115
}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
async def test_an_input_that_can_be_read_once_is_refused(make: Callable[[], Any]) -> None:
    given = make()
    with pytest.raises(ValueError, match="retry= needs an input that every attempt can read"):
        await Command("cat").run(input=given, retry=AT_ONCE)
    if hasattr(given, "close"):
        given.close()


async def test_a_policy_that_is_none_is_refused() -> None:
    with pytest.raises(TypeError, match=r"must be a Retry of aconcur\.pipeline or None, not 3"):
        await Command("cat").run(retry=3)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "retry", [Retry(budget=0.1), Retry(on_retry=print)], ids=["budget", "on_retry"]
)
async def test_what_only_a_stage_can_do_is_refused(retry: Retry) -> None:
    with pytest.raises(ValueError, match="of a Retry is for the stages of a pipeline"):
        await Command("cat").run(retry=retry)


def test_in_a_script_too(tmp_path: Path) -> None:
    assert third_time_lucky(tmp_path).run_sync(retry=AT_ONCE).stdout == b"try 3\n"


async def test_many_commands_each_have_their_attempts(tmp_path: Path) -> None:
    folders = [tmp_path / str(index) for index in range(3)]
    for folder in folders:
        folder.mkdir()
    async with run_many(map(third_time_lucky, folders), retry=AT_ONCE, output=CAPTURE) as outcomes:
        assert [o.result().stdout async for o in outcomes] == [b"try 3\n"] * 3
    async with run_many([sh("exit 3")], output=DISCARD, retry=AT_ONCE) as outcomes:
        assert [type(o.error) async for o in outcomes] == [CommandFailed]
