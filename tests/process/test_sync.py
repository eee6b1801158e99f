"""Commands from code that is not async."""

from __future__ import annotations

import contextvars
import threading

import anyio
import anyio.to_thread
import pytest

from aconcur.process import Command, CommandFailed, CommandTimeout
from tests.support.commands import sh
from tests.support.states import until_sync


def test_it_runs_to_the_end() -> None:
    done = (Command("cat") | Command("cat")).run_sync(input=b"data")
    assert (done.stdout, done.returncodes) == (b"data", (0, 0))
    with pytest.raises(CommandFailed, match="exited with 3"):
        sh("exit 3").run_sync()
    with pytest.raises(CommandTimeout):
        sh("sleep 60").run_sync(timeout=0.1, grace=0)


def test_it_runs_in_any_thread() -> None:
    found: list[bytes] = []
    thread = threading.Thread(target=lambda: found.append(Command("echo", "x").run_sync().stdout))
    thread.start()
    thread.join()
    assert found == [b"x\n"]


async def test_it_runs_in_a_thread_that_has_the_context_of_a_loop() -> None:
    found: list[bytes] = []

    def run() -> None:
        found.append(Command("echo", "x").run_sync().stdout)
        found.extend(Command("echo", "y").lines_sync())

    # As asyncio.to_thread() does.
    thread = threading.Thread(target=contextvars.copy_context().run, args=(run,))
    thread.start()
    await anyio.to_thread.run_sync(thread.join)
    assert found == [b"x\n", b"y"]


def test_lines_come_as_they_are_written() -> None:
    assert list(sh("echo a; echo b; printf c").lines_sync()) == [b"a", b"b", b"c"]
    assert list(Command("true").lines_sync()) == []
    with pytest.raises(CommandFailed):
        list(sh("echo a; exit 3").lines_sync())


def test_leaving_the_lines_early_ends_the_commands() -> None:
    threads = threading.active_count()
    lines = Command("yes").lines_sync()
    assert next(lines) == b"y"
    lines.close()
    until_sync(lambda: threading.active_count() == threads)


async def test_beside_a_running_loop_it_is_refused() -> None:
    with pytest.raises(RuntimeError, match=r"run_sync\(\) would block .* await run\(\) instead"):
        Command("true").run_sync()
    with pytest.raises(RuntimeError, match=r"lines_sync\(\) would block .* use open\(\)"):
        Command("true").lines_sync()
