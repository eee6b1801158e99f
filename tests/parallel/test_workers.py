"""Worker processes: how they start, end, are replaced, and what they never do."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import get_args

import anyio
import pytest

from aconcur.parallel import (
    COLLECT,
    PoolStatistics,
    StartMethod,
    WorkerDied,
    WorkerStartError,
    open_pool,
    usable_cpus,
)
from tests.support import parallel_tasks as tasks
from tests.support.states import BOUND, until_sync


@pytest.mark.parametrize("start", get_args(StartMethod))
async def test_every_way_of_starting_works(start: StartMethod) -> None:
    async with open_pool(2, start=start, initializer=tasks.initialize, initargs=(7,)) as pool:
        results = pool.map(tasks.square, range(2000))
        assert await results.collect() == [number * number for number in range(2000)]
        assert await pool.map(tasks.initialized, range(3)).collect() == [[7]] * 3
        pid, session, group = await pool.run(tasks.session_and_fds)
        assert pid == session == group
        with pytest.raises(WorkerDied, match="SIGKILL"):
            await pool.run(tasks.die_at, 1, [1])
        deaths = pool.map(tasks.square, [1, 2, 3], on_error=COLLECT)
        assert await deaths.collect() == [1, 4, 9]
        big = os.urandom(1 << 20)
        assert await pool.run(bytes.upper, big) == big.upper()


async def test_a_worker_that_dies_idle_costs_nothing() -> None:
    async with open_pool(1, start="forkserver") as pool:
        os.kill(await pool.run(os.getpid), signal.SIGKILL)
        with anyio.fail_after(BOUND):
            while not pool.statistics().died:
                await anyio.sleep(0.01)
        assert await pool.run(tasks.square, 3) == 9


async def test_what_a_task_started_ends_with_its_worker(tmp_path: Path) -> None:
    async with open_pool(1, start="fork") as pool, anyio.create_task_group() as group:
        group.start_soon(pool.run, tasks.start_a_child, str(tmp_path))
        with anyio.fail_after(BOUND):
            while not (noted := list(tmp_path.iterdir())):
                await anyio.sleep(0.01)
        group.cancel_scope.cancel()
    child = noted[0].name.removeprefix("child-")
    with anyio.fail_after(BOUND):
        while "Z" not in _state(child):
            await anyio.sleep(0.01)


def _state(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


async def test_workers_are_replaced_after_so_many_tasks() -> None:
    async with open_pool(1, start="fork", max_tasks_per_worker=3) as pool:
        pids = await pool.map(tasks.pid_of, range(10)).collect()
        assert [pids.count(pid) for pid in dict.fromkeys(pids)] == [3, 3, 3, 1]
        assert await pool.run(tasks.square, 2) == 4
        assert pool.statistics().died == 0


async def test_an_initializer_that_fails_ends_what_waits() -> None:
    async with open_pool(2, start="fork", initializer=tasks.fail_to_initialize) as pool:
        with pytest.raises(WorkerStartError) as caught:
            await pool.run(tasks.square, 3)
        assert isinstance(caught.value.__cause__, tasks.TwoArguments)
        with pytest.raises(WorkerStartError):
            await pool.map(tasks.square, [3]).collect()


async def test_workers_that_die_at_their_start_are_not_started_for_ever() -> None:
    async with open_pool(1, start="fork", initializer=tasks.exit_with, initargs=(4,)) as pool:
        with pytest.raises(WorkerStartError, match="exited with 4"):
            await pool.run(tasks.square, 3)
        assert pool.statistics().started == 20


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
async def test_a_task_may_run_a_loop(backend: str) -> None:
    async with open_pool(1, start="fork") as pool:
        assert await pool.run(tasks.run_a_loop, backend) == 5


async def test_workers_are_as_nice_as_asked() -> None:
    here = os.nice(0)
    async with open_pool(1, start="fork", nice=3) as pool:
        assert await pool.run(tasks.niceness) == min(19, here + 3)


async def test_the_status_is_told() -> None:
    async with open_pool(2, start="fork") as pool:
        assert repr(pool) == "<Pool: 0/2 busy>"
        await pool.map(tasks.square, range(100)).collect()
        with pytest.raises(WorkerDied):
            await pool.run(tasks.exit_with, 1)
        await pool.run(tasks.square, 1)
        now = pool.statistics()
        assert isinstance(now, PoolStatistics)
        assert (now.workers, now.done, now.died, now.killed) == (2, 101, 1, 0)
        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(pool.run, time.sleep, 60)
            await anyio.wait_all_tasks_blocked()
            assert repr(pool) == "<Pool: 2/2 busy, 3 calls waiting>"
            group.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"workers": 0}, "workers must be at least 1, not 0"),
        ({"workers": 1.5}, "workers must be a whole number, not 1.5"),
        ({"max_tasks_per_worker": 0}, "max_tasks_per_worker must be at least 1, not 0"),
        ({"start": "clone"}, "start must be .*, not 'clone'"),
    ],
)
async def test_wrong_arguments_are_named(wrong: dict[str, int], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        async with open_pool(**wrong):  # type: ignore[arg-type]
            pass


async def test_an_error_of_the_block_is_raised_as_it_is() -> None:
    with pytest.raises(LookupError, match=r"^mine$"):
        async with open_pool(1, start="fork"):
            raise LookupError("mine")


_PARENT = """
import anyio, sys
from contextlib import AsyncExitStack
from aconcur.parallel import open_pool
from tests.support.parallel_tasks import note_then_sleep

async def main():
    async with AsyncExitStack() as stack:
        pools = [
            await stack.enter_async_context(open_pool(1, start=start))
            for start in ("exec", "forkserver", "fork", "spawn")
        ]
        async with anyio.create_task_group() as group:
            for pool in pools:
                group.start_soon(pool.run, note_then_sleep, sys.argv[1], 60)

if __name__ == "__main__":
    try:
        anyio.run(main)
    except KeyboardInterrupt:
        print("interrupted")
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_workers_end_with_their_parent_in_silence(number: int, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(_PARENT)
    noted = tmp_path / "noted"
    noted.mkdir()
    parent = subprocess.Popen(
        [sys.executable, str(program), str(noted)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        start_new_session=True,
    )
    while len(workers := list(noted.iterdir())) < 4:
        assert parent.poll() is None
        time.sleep(0.01)
    # The whole group, as a terminal does.
    os.killpg(parent.pid, number)
    said, _ = parent.communicate()
    assert said == ("interrupted\n" if number == signal.SIGINT else "")
    until_sync(lambda: all("Z" in _state(worker.name) for worker in workers))


_SCRIPT = """
import anyio, math
from dataclasses import dataclass
from aconcur.parallel import open_pool

print("run")

@dataclass
class Point:
    x: int

def norm(point):
    return Point(abs(point.x))

async def main():
    async with open_pool(1) as pool:
        print(await pool.map({function}, {items}).collect())

{guard}
"""


@pytest.mark.parametrize(
    ("function", "items", "guard", "said"),
    [
        (
            "norm",
            "[Point(-1)]",
            "if __name__ == '__main__': anyio.run(main)",
            "run run [Point(x=1)]",
        ),
        ("lambda x: norm(Point(x))", "[-1]", "anyio.run(main)", "run [Point(x=1)]"),
        ("norm", "[Point(-1)]", "anyio.run(main)", "run [Point(x=1)]"),
    ],
)
def test_scripts_need_no_guard_unless_main_is_named(
    tmp_path: Path, function: str, items: str, guard: str, said: str
) -> None:
    script = tmp_path / "script.py"
    script.write_text(_SCRIPT.format(function=function, items=items, guard=guard))
    done = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    found = " ".join(sorted(done.stdout.split("\n"), reverse=True)).strip()
    assert said in found + done.stderr


_FAILING_SCRIPT = """
import anyio
from aconcur.parallel import open_pool

print("run")

class Wrong(Exception):
    def __init__(self, what, *, code):
        super().__init__(f"{what} {code}")
        self.code = code

def fail(code):
    raise Wrong("said", code=code)

async def main():
    async with open_pool(1) as pool:
        try:
            await pool.run(fail, 7)
        except Wrong as error:
            print(error, error.code)

anyio.run(main)
"""


def test_an_exception_of_a_script_comes_back_and_the_script_is_not_run_again(
    tmp_path: Path,
) -> None:
    script = tmp_path / "script.py"
    script.write_text(_FAILING_SCRIPT)
    done = subprocess.run(
        [sys.executable, "-X", "dev", str(script)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    # On a busy machine asyncio's debug mode reports steps that took long.
    errors = [line for line in done.stderr.splitlines() if not line.startswith("Executing <")]
    assert (done.stdout, errors) == ("run\nsaid 7 7\n", [])


def test_cpus_are_no_more_than_the_machine_has() -> None:
    assert 1 <= usable_cpus() <= (os.cpu_count() or 1)
