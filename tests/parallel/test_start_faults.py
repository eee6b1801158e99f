"""What may go wrong as workers start: each fault gets its error, or costs one process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest

from aconcur.parallel import StartMethod, WorkerStartError, open_pool
from tests.support import parallel_tasks as tasks
from tests.support.backends import on_one_loop
from tests.support.states import until


@pytest.mark.parametrize("start", ["exec", "forkserver"])
async def test_a_frozen_program_is_not_started_again(
    start: StartMethod, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    started = tmp_path / "started"
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {started}\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setattr(sys, "executable", str(program))
    with pytest.raises(WorkerStartError, match=r"frozen program .* start='spawn' .*freeze_support"):
        async with open_pool(1, start=start):
            pass
    assert not started.exists()


@on_one_loop
@pytest.mark.parametrize(
    "arguments",
    [
        ["--multiprocessing-fork", "pipe_handle=9"],
        ["-S", "-c", "from multiprocessing.resource_tracker import main;main(9)"],
    ],
    ids=["as a worker", "as a resource tracker"],
)
async def test_a_frozen_program_that_multiprocessing_runs_again_opens_no_pool(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setattr(sys, "argv", ["program", *arguments])
    with pytest.raises(WorkerStartError, match=r"freeze_support\(\) first in __main__"):
        async with open_pool(1, start="spawn"):
            pass


async def test_a_frozen_program_may_fork(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    async with open_pool(1, start="fork") as pool:
        assert await pool.run(tasks.square, 3) == 9


@pytest.mark.parametrize("start", ["exec", "forkserver"])
async def test_an_unknown_interpreter_is_an_error_that_says_so(
    start: StartMethod, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", None)
    with pytest.raises(WorkerStartError, match=r"sys\.executable is None"):
        async with open_pool(1, start=start):
            pass


@on_one_loop
@pytest.mark.parametrize("start", ["exec", "forkserver"])
@pytest.mark.parametrize(
    ("size", "argument"),
    [(1, 1), (10_000_000, 1), (1, 10_000_000)],
    # The last does not fit into the socket, so the worker's end shows as it is written.
    ids=["small", "large initargs", "long command line"],
)
async def test_a_worker_that_ends_before_it_reads_is_replaced(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, size: int, argument: int, start: StartMethod
) -> None:
    monkeypatch.setattr(sys, "argv", ["x" * argument])
    mark, program = tmp_path / "mark", tmp_path / "python"
    once = f"#!/bin/sh\nif [ ! -e {mark} ]; then touch {mark}; exit 1; fi\n"
    program.write_text(f'{once}exec {sys.executable} "$@"\n')
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    initargs = (b"x" * size,)
    async with open_pool(1, start=start, initializer=tasks.accept, initargs=initargs) as pool:
        with anyio.fail_after(60):
            assert await pool.run(tasks.square, 3) == 9
        now = pool.statistics()
        # A fork server that has ended is started again, and costs no worker.
        assert (now.started, now.died) == ((2, 1) if start == "exec" else (1, 0))


@on_one_loop
async def test_a_fork_server_that_never_serves_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    async with open_pool(2, start="forkserver") as pool:
        with pytest.raises(WorkerStartError, match="fork server ended 20 times in a row"):
            await pool.run(tasks.square, 3)


async def test_a_pool_survives_the_death_of_its_fork_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    servers: list[int] = []
    launch = subprocess.Popen.__init__

    def remember(popen: subprocess.Popen[bytes], *args: Any, **options: Any) -> None:  # noqa: ANN401
        launch(popen, *args, **options)
        servers.append(popen.pid)

    monkeypatch.setattr(subprocess.Popen, "__init__", remember)
    async with open_pool(1, start="forkserver") as pool:
        worker = await pool.run(tasks.pid_of)
        os.kill(servers[0], signal.SIGKILL)
        os.kill(worker, signal.SIGKILL)
        with anyio.fail_after(60):
            await until(lambda: pool.statistics().died == 1)
            assert await pool.run(tasks.square, 3) == 9
    assert len(servers) == 2


async def test_a_large_argument_of_the_initializer_arrives_whole(start: StartMethod) -> None:
    data = os.urandom(1000) * 1000
    async with open_pool(2, start=start, initializer=tasks.initialize, initargs=(data,)) as pool:
        assert await pool.run(tasks.initialized_with, data)


async def test_a_system_without_posix_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "name", "nt")
    with pytest.raises(ImportError, match=r"open_pool\(\) needs POSIX"):
        async with open_pool(1):
            pass
