"""The system refuses: nothing is left, and the next run works."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import anyio
import pytest

from aconcur._core import pipe_budget
from aconcur.process import Command, _spawn
from tests.support.commands import descriptors, free_files, sh

CAT = Command("cat")


@pytest.mark.parametrize("given", [None, b"x", bytes(1 << 20)], ids=["none", "small", "big"])
async def test_too_few_descriptors_leave_nothing_and_the_next_run_works(
    given: bytes | None,
) -> None:
    pipe = CAT | CAT
    expected = (await pipe.run(input=given)).stdout
    before = descriptors()
    worked = []
    for count in range(16):
        with free_files(count):
            try:
                worked.append((await pipe.run(input=given)).stdout == expected)
            except OSError as error:
                assert "Too many open files" in str(error)  # noqa: PT017 - either is right
        assert descriptors() == before
    assert all(worked)
    assert 5 <= len(worked) <= 8  # 10 are enough, 11 if this process writes the input
    assert (await pipe.run(input=given)).stdout == expected


async def test_without_pidfds_threads_tell_of_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(pid: int) -> int:
        raise PermissionError(1, "Operation not permitted", str(pid))

    monkeypatch.setattr(os, "pidfd_open", refuse)
    assert (await (CAT | CAT).run(input=b"x")).stdout == b"x"
    with anyio.move_on_after(0.1):
        await (sh("sleep 60") | CAT).run()
    monkeypatch.delattr(os, "pidfd_open")
    assert (await CAT.run(input=b"x")).stdout == b"x"


async def test_a_thread_that_cannot_start_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.delattr(os, "pidfd_open")
    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(RuntimeError, match="can't start new thread"):
        await (CAT | CAT).run()


async def test_slow_starts_go_to_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_spawn, "_SLOW", -1.0)
    assert (await (CAT | CAT).run(input=b"x")).stdout == b"x"
    with pytest.raises(FileNotFoundError):
        await (CAT | Command("no-such-program")).run()
    for steps in range(8):
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(sh("sleep 60").run)
                for _ in range(steps):
                    await anyio.lowlevel.checkpoint()
                scope.cancel()


async def test_pipes_stay_small_where_the_share_is_used_up(monkeypatch: pytest.MonkeyPatch) -> None:
    budget = pipe_budget.PipeBudget()
    reading, writing = pipe_budget.new_pipe()
    try:
        sizes = [budget.enlarge(writing) for _ in range(17)]
        assert sizes == [1 << 20] * 16 + [pipe_budget.DEFAULT_SIZE]
        assert (await (CAT | CAT).run(input=bytes(300_000))).stdout == bytes(300_000)
    finally:
        budget.release()
        os.close(reading)
        os.close(writing)
    no_pipe = os.open(os.devnull, os.O_RDONLY)
    for _ in range(20):
        assert budget.enlarge(no_pipe) == pipe_budget.DEFAULT_SIZE
    monkeypatch.setattr(sys, "platform", "other")
    assert budget.enlarge(no_pipe) == pipe_budget.DEFAULT_SIZE
    os.close(no_pipe)


# Not uvloop: libuv aborts the process as it closes what took the number of stdin.
@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"], indirect=True)
def test_a_closed_stdin_of_ours_is_no_matter(anyio_backend_name: str) -> None:
    program = f"""
import anyio, os
from aconcur.process import INHERIT, Command
os.close(0)
async def main():
    print((await (Command("cat") | Command("cat")).run(input=b"fine")).text())
    done = await Command("cat").run(input=INHERIT, check=False)
    print(done.returncodes)
anyio.run(main, backend={anyio_backend_name!r})
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert ran.stdout.startswith(b"fine\n"), ran.stderr
    assert ran.returncode == 0
