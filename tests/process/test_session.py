"""open(): a block talks with commands, and they end with it."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest

from aconcur.process import (
    CAPTURE,
    DISCARD,
    PIPE,
    Command,
    CommandFailed,
    CommandNotFound,
    InputClosed,
    Tee,
    TransferProgress,
)
from tests.support.commands import IGNORES_TERM, descriptors, lives, noted_pids, python, sh
from tests.support.states import until

CAT = Command("cat")
MIB = 1 << 20
BIG = os.urandom(3 * MIB)


# Reading


async def test_chunks_are_the_output() -> None:
    async with (CAT | CAT).open(input=BIG) as running:
        assert b"".join([chunk async for chunk in running.chunks()]) == BIG


@pytest.mark.parametrize(
    "data",
    [b"", b"\n", b"a", b"a\n", b"a\nb", b"\n\n", b"x" * 300_000, (b"y" * 99_999 + b"\n") * 9],
    ids=["empty", "end", "one", "one ended", "two", "two ends", "long", "many long"],
)
async def test_lines_and_batches_agree_with_split(data: bytes) -> None:
    expected = data.split(b"\n")
    if not expected[-1]:
        expected.pop()
    async with CAT.open(input=data) as running:
        assert [line async for line in running.lines()] == expected
    async with CAT.open(input=data) as running:
        batches = [batch async for batch in running.line_batches()]
    assert [line for batch in batches for line in batch] == expected
    assert all(batches)


async def test_iterators_may_be_left_and_taken_up_again() -> None:
    data = b"".join(b"%d\n" % n for n in range(50_000))
    async with CAT.open(input=data) as running:
        async for line in running.lines():
            assert line == b"0"
            break
        assert await anext(running.lines()) == b"1"
        batch = await anext(running.line_batches())
        assert batch[:2] == [b"2", b"3"]
        after = len(b"".join(b"%d\n" % n for n in range(2 + len(batch))))
        rest = b"".join([chunk async for chunk in running.chunks()])
        assert rest == data[after:]


async def test_a_cancelled_reader_loses_nothing() -> None:
    async with CAT.open(input=PIPE) as running:
        await running.write(b"one\ntw")
        lines = running.lines()
        assert await anext(lines) == b"one"
        with anyio.move_on_after(0.02) as scope:
            await anext(lines)
        assert scope.cancelled_caught
        await running.write(b"o\n")
        assert await anext(lines) == b"two"


async def test_leaving_the_block_early_ends_the_commands() -> None:
    before = descriptors()
    async with (Command("yes") | CAT).open() as running:
        pids = running.pids
        async for line in running.lines():
            assert line == b"y"
            break
    assert not any(map(lives, pids))
    assert descriptors() == before


async def test_output_that_was_left_cannot_be_read_after_the_block() -> None:
    async with Command("echo", "x").open() as running:
        pass
    with pytest.raises(RuntimeError, match="only inside of its block"):
        await anext(running.lines())


async def test_stderr_is_drained_while_the_block_does_something_else() -> None:
    shouts = python("import sys; sys.stderr.write('e' * (1 << 20)); print('done')")
    async with shouts.open() as running:
        await until(lambda: running.returncodes == (0,))
        assert [line async for line in running.lines()] == [b"done"]
        assert (await running.wait()).stages[0].stderr_size == MIB


async def test_the_output_ends_though_an_orphan_holds_it() -> None:
    async with sh("sleep 60 & echo $!").open(linger=0.1, check=False) as running:
        lines = [line async for line in running.lines()]
        assert (await running.wait()).held
    await until(lambda: not lives(int(lines[0])))


async def test_a_slow_reader_gets_all_in_spite_of_linger() -> None:
    async with Command("head", "-c", "60000", "/dev/zero").open(linger=0) as running:
        await until(lambda: running.returncodes == (0,))
        await anyio.sleep(0.02)
        assert sum([len(chunk) async for chunk in running.chunks()]) == 60_000


# Writing


async def test_a_dialogue() -> None:
    async with Command("sed", "-u", "s/a/b/").open(input=PIPE) as running:
        lines = running.lines()
        for word in (b"a", b"xa", b"z"):
            await running.write(word + b"\n")
            assert await anext(lines) == word.replace(b"a", b"b")
        running.close_input()
        running.close_input()
        assert [line async for line in lines] == []
        assert running.progress() == TransferProgress(7, 7)


async def test_writing_and_reading_at_once() -> None:
    async with (CAT | CAT).open(input=PIPE) as running, anyio.create_task_group() as tasks:

        async def write() -> None:
            for at in range(0, len(BIG), 100_000):
                await running.write(memoryview(BIG)[at : at + 100_000])
            running.close_input()

        tasks.start_soon(write)
        assert b"".join([chunk async for chunk in running.chunks()]) == BIG


async def test_a_reader_that_has_gone_is_told_to_the_writer() -> None:
    async with Command("true").open(input=PIPE) as running:
        with pytest.raises(InputClosed, match="true reads no more input: its status, by wait"):
            await running.write(bytes(10 * MIB))
        assert (await running.wait()).ok


async def test_writing_after_the_end_is_an_error() -> None:
    async with CAT.open(input=PIPE, output=DISCARD) as running:
        running.close_input()
        with pytest.raises(InputClosed):
            await running.write(b"x")
        with pytest.raises(TypeError, match="must yield bytes, not str"):
            await running.write("text")  # type: ignore[arg-type]
    async with CAT.open(output=DISCARD) as running:
        with pytest.raises(RuntimeError, match=r"write\(\) needs open\(input=PIPE\)"):
            await running.write(b"x")


async def test_closing_the_input_wakes_a_blocked_writer() -> None:
    sleep = Command("sleep", "60")
    async with sleep.open(input=PIPE) as running, anyio.create_task_group() as tasks:

        async def write() -> None:
            with pytest.raises(InputClosed):
                await running.write(bytes(10 * MIB))

        tasks.start_soon(write)
        await anyio.wait_all_tasks_blocked()
        running.close_input()


async def test_what_was_written_is_complete_when_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "out"
    async with (CAT | CAT).open(input=PIPE, output=path) as running:
        await running.write(BIG)
    assert path.read_bytes() == BIG


async def test_an_async_input_is_poured_in_beside_the_block() -> None:
    async def numbers() -> AsyncIterator[bytes]:
        for number in range(100):
            await anyio.lowlevel.checkpoint()
            yield b"%d\n" % number

    async with CAT.open(input=numbers()) as running:
        assert [int(line) async for line in running.lines()] == list(range(100))


async def test_what_an_input_raises_cancels_the_block_and_is_raised() -> None:
    async def bad() -> AsyncIterator[bytes]:
        await anyio.lowlevel.checkpoint()
        yield b"x"
        raise LookupError("from the input")

    with pytest.raises(LookupError, match="from the input"):
        async with CAT.open(input=bad()):
            await anyio.sleep(60)


async def test_progress_is_told_while_the_block_works_and_at_its_end() -> None:
    told: list[TransferProgress] = []
    async with sh("cat; sleep 0.25").open(input=BIG, on_progress=told.append) as running:
        assert sum([len(chunk) async for chunk in running.chunks()]) == len(BIG)
        assert told
    assert told[-1] == TransferProgress(len(BIG), len(BIG))


# Signals and the end


async def test_signals_go_to_one_stage_or_to_all() -> None:
    waits = sh("trap 'echo told; exit 0' USR1; echo ready; while :; do sleep 0.01; done")
    async with (waits | CAT).open() as running:
        lines = running.lines()
        assert await anext(lines) == b"ready"
        running.send_signal(signal.SIGUSR1, 0)
        assert [line async for line in lines] == [b"told"]
        await running.wait()
        running.send_signal(signal.SIGUSR1, 0)
        with pytest.raises(IndexError, match="stage must be below 2, not 2"):
            running.send_signal(signal.SIGUSR1, 2)
    async with (CAT | CAT).open(input=PIPE, check=False) as running:
        running.send_signal(signal.SIGTERM)
        assert (await running.wait()).returncodes == (-15, -15)


async def test_its_repr_tells_how_it_stands() -> None:
    async with (CAT | Command("head", "-n", "1")).open(input=PIPE) as running:
        assert repr(running) == "<Running cat | head -n 1: running, running>"
        assert running.returncodes == (None, None)
        await running.write(b"x\n")
        assert [line async for line in running.lines()] == [b"x"]
        await running.wait()
        assert repr(running) == "<Running cat | head -n 1: exited with 0, exited with 0>"


async def test_wait_discards_what_nobody_reads() -> None:
    async with CAT.open(input=BIG) as running:
        done = await running.wait()
    assert (done.stdout, done.returncodes) == (b"", (0,))


async def test_output_can_go_where_that_of_run_goes() -> None:
    seen: list[bytes] = []
    async with CAT.open(input=b"data", output=Tee(seen.append)) as running:
        assert (await running.wait()).stdout == b"data"
    async with CAT.open(input=b"data", output=CAPTURE) as running:
        assert (await running.wait()).stdout == b"data"
        assert [chunk async for chunk in running.chunks()] == []
    assert seen == [b"data"]


async def test_a_failure_is_raised_at_the_end_of_the_block() -> None:
    lines: list[bytes] = []
    with pytest.raises(CommandFailed, match="exited with 3: why"):
        async with sh("echo x; echo why >&2; exit 3").open() as running:
            lines += [line async for line in running.lines()]
    assert lines == [b"x"]
    async with sh("exit 3").open(check=False) as running:
        assert (await running.wait()).returncodes == (3,)


async def test_a_missing_program_is_told_before_the_block() -> None:
    with pytest.raises(CommandNotFound):
        async with (CAT | Command("no-such-program")).open():
            raise AssertionError


@pytest.mark.parametrize("error", [LookupError("mine"), ExceptionGroup("mine", [OSError()])])
async def test_an_error_in_the_block_is_raised_as_it_is(error: Exception) -> None:
    with pytest.raises(type(error)) as caught:
        async with Command("yes").open():
            raise error
    assert caught.value is error


async def test_a_cancelled_block_ends_the_commands_within_the_grace(tmp_path: Path) -> None:
    with anyio.CancelScope() as scope:
        async with python(IGNORES_TERM, tmp_path).open(grace=0.1) as running:
            await until(lambda: noted_pids(tmp_path))
            scope.cancel()
            await running.wait()
    assert not lives(noted_pids(tmp_path)[0])
