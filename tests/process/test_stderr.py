"""A stage's stderr goes wherever its stdout may go, and all lines come told apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest

from aconcur.process import (
    CAPTURE,
    DISCARD,
    PIPE,
    STDOUT,
    Append,
    Command,
    OutputLine,
    Tee,
    run_many,
)
from tests.support.commands import python

BOTH = "echo out; echo err >&2"


def both(stderr: Any) -> Command:  # noqa: ANN401
    return Command("sh", "-c", BOTH, stderr=stderr)


async def test_to_a_path_it_is_made_anew_and_by_append_added_to(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("old\n")
    done = await both(log).run()
    assert (done.stdout, done.stages[0].stderr, log.read_text()) == (b"out\n", b"", "err\n")
    await both(Append(log)).run()
    assert log.read_text() == "err\nerr\n"


async def test_to_an_open_file_or_a_function_or_both(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as file:
        file.write("before ")
        await both(file).run()
    assert (tmp_path / "log").read_text() == "before err\n"
    seen: list[bytes] = []
    done = await both(seen.append).run()
    assert (seen, done.stages[0].stderr, done.stages[0].stderr_size) == ([b"err\n"], b"", 4)
    done = await both(Tee(seen.append)).run()
    assert (seen[1:], done.stages[0].stderr) == ([b"err\n"], b"err\n")


async def test_several_stages_may_share_a_file(tmp_path: Path) -> None:
    log = tmp_path / "log"
    stages = [Command("sh", "-c", f"cat; echo {n} >&2", stderr=log) for n in range(3)]
    await (stages[0] | stages[1] | stages[2]).run(output=log)
    assert sorted(log.read_text().split()) == ["0", "1", "2"]


async def test_into_the_next_stage() -> None:
    done = await (both(STDOUT) | Command("sort")).run()
    assert done.text() == "err\nout\n"


async def test_an_output_function_of_stderr_that_raises_ends_the_run() -> None:
    def refuse(data: bytes) -> None:
        raise LookupError(data)

    with pytest.raises(LookupError, match="err"):
        await Command("sh", "-c", "echo err >&2; sleep 60", stderr=refuse).run()


async def test_of_many_commands_it_may_be_appended(tmp_path: Path) -> None:
    log = tmp_path / "log"
    async with run_many([both(Append(log))] * 5, limit=2) as outcomes:
        assert [outcome.error async for outcome in outcomes] == [None] * 5
    assert log.read_text() == "err\n" * 5


def test_its_shell_line_says_where() -> None:
    assert str(both(Path("a b"))).endswith(" 2>'a b'")
    assert str(both(Append("log"))).endswith(" 2>>log")


# Live


async def test_events_tell_stages_and_streams_apart() -> None:
    first = Command("sh", "-c", "echo one; echo first >&2")
    last = Command("sh", "-c", "cat; echo second >&2; printf end", stderr=PIPE)
    async with (first | last).open() as running:
        found = [event async for event in running.events()]
        done = await running.wait()
    assert sorted(found) == [
        (0, "stderr", b"first"),
        (1, "stderr", b"second"),
        (1, "stdout", b"end"),
        (1, "stdout", b"one"),
    ]
    assert all(isinstance(event, OutputLine) for event in found)
    assert [stage.stderr for stage in done.stages] == [b"first\n", b"second\n"]


COUNTS = """
import os, sys
count = int(sys.argv[1])
for start in range(0, count, 100):
    lines = b"".join(b"%d\\n" % n for n in range(start, start + 100))
    for fd in (1, 2):
        view = memoryview(lines)
        while view:
            view = view[os.write(fd, view[:777]):]
"""


@pytest.mark.parametrize("stderr", [CAPTURE, PIPE])
async def test_no_line_is_lost_or_torn(stderr: Any) -> None:  # noqa: ANN401
    count = 30_000
    command = Command(*python(COUNTS, str(count)).args, stderr=stderr)
    found: dict[str, list[bytes]] = {"stdout": [], "stderr": []}
    async with command.open() as running:
        async for _, stream, line in running.events():
            found[stream].append(line)
            if len(found[stream]) % 5000 == 0:  # another iterator goes on
                rest = running.events()
                event = await anext(rest, None)
                if event is not None:
                    found[event.stream].append(event.line)
    expected = [b"%d" % n for n in range(count)]
    assert found == {"stdout": expected, "stderr": expected}


async def test_events_come_while_the_program_runs() -> None:
    async with Command("sh", "-c", "echo a >&2; read x; echo b; read x; echo c >&2").open(
        input=PIPE
    ) as running:
        events = running.events()
        with anyio.fail_after(20):
            assert await anext(events) == (0, "stderr", b"a")
            await running.write(b"\n")
            assert await anext(events) == (0, "stdout", b"b")
            await running.write(b"\n")
            assert await anext(events) == (0, "stderr", b"c")
            assert await anext(events, None) is None


async def test_a_cancelled_events_iterator_loses_nothing() -> None:
    async with Command("sh", "-c", "read x; echo a; echo b >&2").open(input=PIPE) as running:
        with anyio.move_on_after(0.05) as scope:
            await anext(running.events())
        assert scope.cancelled_caught
        await running.write(b"\n")
        assert len([event async for event in running.events()]) == 2


async def test_the_stderr_of_one_stage_can_be_read_alone() -> None:
    first = Command("sh", "-c", "echo early >&2; echo data; echo late >&2")
    async with (first | Command("cat")).open() as running:
        assert [line async for line in running.lines(stage=0, stream="stderr")] == [
            b"early",
            b"late",
        ]
        assert [line async for line in running.lines(stage=1)] == [b"data"]
        with pytest.raises(ValueError, match="the stdout of stage 0 does not come here"):
            running.lines(stage=0)
        with pytest.raises(IndexError, match="stage must be below 2, not 2"):
            running.lines(stage=2)
    async with both(DISCARD).open() as running:
        with pytest.raises(ValueError, match="the stderr of stage 0 does not come here"):
            running.lines(stream="stderr")
        assert [line async for line in running.lines()] == [b"out"]
    async with both(DISCARD).open(output=DISCARD) as running:
        with pytest.raises(ValueError, match=r"events\(\) needs output=PIPE"):
            running.events()


async def test_a_piped_stderr_that_is_not_read_does_not_hold_up_the_end() -> None:
    noisy = Command("sh", "-c", "head -c 300000 /dev/zero >&2; echo x", stderr=PIPE)
    async with noisy.open() as running:
        done = await running.wait()
    assert done.stages[0].stderr_size == 300_000
    async with noisy.open(output=DISCARD):
        pass


async def test_an_orphan_that_holds_a_stream_ends_events_after_linger() -> None:
    async with Command("sh", "-c", "echo x; sleep 60 & exit 0").open(
        linger=0.1, check=False
    ) as running:
        with anyio.fail_after(20):
            assert [event.line async for event in running.events()] == [b"x"]
        assert (await running.wait()).held
