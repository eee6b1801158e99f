"""Jobs in, answers out in their order; what runs beside what; what is left when it ends."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import json
import math
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from pathlib import Path
from threading import Thread
from types import ModuleType
from typing import Any, Self, TypeAlias

import anyio
import anyio.to_thread
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aconcur.lessons.item37_threads import costs, original, rebuilt, toolkit, work
from aconcur.lessons.item37_threads.server import echo_server
from tests.support.backends import BACKENDS
from tests.support.extras import skip_without
from tests.support.programs import started

LESSON = "item37_threads"
PACKAGE = f"aconcur.lessons.{LESSON}"
CORES = os.cpu_count() or 1

# A call that hangs fails its test, not the suite.
pytestmark = pytest.mark.timeout(60)

Job: TypeAlias = Callable[[], Any]
Version: TypeAlias = Callable[[Sequence[Job]], Awaitable[list[Any]]]
Input: TypeAlias = Callable[[int, int], AbstractContextManager[tuple[Any]]]

here = pytest.mark.entry("serial", "threads", "to_thread", "tasks")
everywhere = pytest.mark.entry("serial", "threads", "to_thread", "tasks", "processes")


@pytest.fixture(scope="module", autouse=True)
def bare_main() -> Iterator[None]:
    """Spare each child process the import of pytest: it imports what it takes for our program."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "__main__", ModuleType("__main__"))
        yield


@pytest.fixture(autouse=True)
def anyio_threads_end() -> Iterator[None]:
    """Wait for threads that anyio tells to end with the loop, before they count as leaked."""
    yield
    for thread in threading.enumerate():
        if thread.name == "AnyIO worker thread":
            thread.join(30)


@pytest.fixture(params=BACKENDS)
def anyio_run(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Run a function on a loop that ends with it, and with the loop the processes anyio keeps.

    The loop of the asynchronous tests will not do: there, a fixture or a test is a root task of its
    own, which takes the processes down and leaves the task that guards them.
    """
    backend, options = BACKENDS[request.param]
    return partial(anyio.run, backend=backend, backend_options=options)


class Held:
    """A job that runs until it is let go, and a moment longer."""

    def __init__(self) -> None:
        self.begun, self.let_go = threading.Event(), threading.Event()
        self.running = False

    def __call__(self) -> None:
        self.running = True
        self.begun.set()
        assert self.let_go.wait(30)
        # Who does not wait for this call has gone before it ends.
        time.sleep(0.05)
        self.running = False

    async def has_begun(self) -> None:
        assert await anyio.to_thread.run_sync(self.begun.wait, 10)


def negative(x: int | None) -> int:
    if x is None:
        raise TypeError("nothing to negate")
    return -x


def fail() -> Any:  # noqa: ANN401 - a job like any other
    raise ValueError("no luck")


fail_by_zero: Job = partial(divmod, 1, 0)


def an_error(kind: type[Exception], match: str) -> pytest.RaisesGroup[Exception]:
    """Expect one error: bare, or in the group that a task group makes of it."""
    return pytest.RaisesGroup(
        pytest.RaisesExc(kind, match=match), allow_unwrapped=True, flatten_subgroups=True
    )


def default_pool_size() -> int:
    with ThreadPoolExecutor() as pool:
        return pool._max_workers


# One specification for every version.


@everywhere
async def test_answers_stand_in_the_order_of_the_jobs(call: Version) -> None:
    # The first jobs take much longer than the last ones.
    sizes = [3_000_000, 1_000_000, 3, 2, 1, 0]
    answers = await call([partial(sum, range(size)) for size in sizes])
    assert answers == [size * (size - 1) // 2 for size in sizes]


@everywhere
async def test_no_jobs_give_no_answers(call: Version) -> None:
    assert await call([]) == []


@everywhere
async def test_the_error_of_a_job_reaches_the_caller(call: Version) -> None:
    with an_error(ValueError, "seven"):
        await call([partial(int, "7"), partial(int, "seven"), partial(int, "8")])


@here
@given(inputs=st.lists(st.none() | st.integers(), max_size=6))
@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
async def test_all_answers_or_an_error(call: Version, inputs: list[int | None]) -> None:
    expected = None if None in inputs else [-x for x in inputs if x is not None]
    answers: list[int] | None = None
    try:
        answers = await call([partial(negative, x) for x in inputs])
    except* TypeError:
        pass
    assert answers == expected


@pytest.mark.entry("serial", "threads", "tasks")
async def test_after_an_error_no_job_runs_on(call: Version) -> None:
    other = Held()
    other.let_go.set()
    with an_error(ValueError, "no luck"):
        await call([fail, other, other])
    assert not other.running


@here
@pytest.mark.parametrize(("input_of", "size"), [(work.blocking_calls, 6), (work.numbers, 1)])
async def test_all_versions_agree_on_every_input(call: Version, input_of: Input, size: int) -> None:
    with input_of(size, 7) as (jobs,):
        assert len(jobs) == size
        assert await call(jobs) == [job() for job in jobs]


# What runs beside what.


@pytest.mark.entry("threads", "to_thread")
async def test_a_later_job_may_end_first(call: Version) -> None:
    second_is_done = threading.Event()
    jobs: list[Job] = [partial(second_is_done.wait, 10), second_is_done.set]
    assert await call(jobs) == [True, None]


@pytest.mark.entry("threads")
async def test_all_calls_wait_together(call: Version) -> None:
    # More than the default pool of asyncio (32 at most) or of anyio (40) holds.
    all_in = threading.Barrier(48, timeout=30)
    assert sorted(await call([all_in.wait] * 48)) == list(range(48))


@pytest.mark.asyncio_only
async def test_to_thread_lets_only_so_many_wait_together() -> None:
    limit = default_pool_size()
    all_in, guard = threading.Barrier(limit, timeout=30), threading.Lock()
    inside = most = 0

    def wait() -> None:
        nonlocal inside, most
        with guard:
            inside += 1
            most = max(most, inside)
        all_in.wait()
        with guard:
            inside -= 1

    # The barrier shows that the pool holds so many, the count that it holds no more.
    await rebuilt.to_thread([wait] * limit * 3)
    assert most == limit


@pytest.mark.entry("serial", "tasks")
async def test_tasks_never_overlap(call: Version) -> None:
    diary: list[str] = []

    def job(name: str) -> int:
        diary.append(f"{name} begins")
        time.sleep(0)
        diary.append(f"{name} ends")
        return threading.get_ident()

    assert await call([partial(job, name) for name in "abc"]) == [threading.get_ident()] * 3
    assert diary == [f"{name} {step}" for name in "abc" for step in ("begins", "ends")]


@pytest.mark.skipif(CORES < 2, reason="on one core the pools have one process")
@pytest.mark.entry("threads", "to_thread", "processes")
async def test_two_jobs_run_at_the_same_time(call: Version, tmp_path: Path) -> None:
    # Opening a FIFO blocks until the other end is opened too.
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    jobs: list[Job] = [partial(Path.read_text, fifo), partial(Path.write_text, fifo, "met")]
    assert await call(jobs) == ["met", 3]


@pytest.mark.entry("processes")
async def test_processes_are_others_and_at_most_one_a_core(call: Version) -> None:
    workers = set(await call([os.getpid] * 5 * CORES))
    assert os.getpid() not in workers
    assert len(workers) <= CORES


# What is left after an error, a cancellation, a thread that does not start.


@pytest.mark.asyncio_only
async def test_the_loop_runs_on_while_the_threads_end() -> None:
    held = Held()

    def fail_meanwhile() -> None:
        assert held.begun.wait(30)
        fail()

    running = asyncio.ensure_future(rebuilt.threads(list[Job]([held, fail_meanwhile])))
    await held.has_begun()
    done, _ = await asyncio.wait([running], timeout=0.05)
    assert not done
    held.let_go.set()
    with pytest.raises(ValueError, match="no luck"):
        await running
    assert not held.running


@pytest.mark.asyncio_only
@pytest.mark.parametrize("version", [rebuilt.threads, toolkit.threads], ids=["rebuilt", "toolkit"])
async def test_cancelled_threads_are_waited_for(version: Version) -> None:
    held = Held()
    running = asyncio.ensure_future(version([held]))
    await held.has_begun()
    running.cancel()
    done, _ = await asyncio.wait([running], timeout=0.05)
    assert not done
    held.let_go.set()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert not held.running


@pytest.mark.asyncio_only
@pytest.mark.parametrize("version", [rebuilt.threads, toolkit.threads], ids=["rebuilt", "toolkit"])
async def test_timed_out_threads_are_waited_for(version: Version) -> None:
    held = Held()
    asyncio.get_running_loop().call_later(0.5, held.let_go.set)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await version([held])
    assert held.begun.is_set()
    assert not held.running


async def test_anyio_waits_for_cancelled_threads() -> None:
    held = Held()
    async with anyio.create_task_group() as group:
        group.start_soon(toolkit.threads, [held])
        await held.has_begun()
        group.cancel_scope.cancel()
        with anyio.CancelScope(shield=True):
            await anyio.sleep(0.05)
        assert held.running
        held.let_go.set()
    assert not held.running


@pytest.mark.asyncio_only
async def test_threads_cancelled_twice_still_end() -> None:
    held = Held()
    running = asyncio.ensure_future(rebuilt.threads([held]))
    await held.has_begun()
    for _ in range(2):
        running.cancel()
        await asyncio.wait([running], timeout=0.02)
    assert running.cancelled()
    assert held.running
    held.let_go.set()
    await asyncio.get_running_loop().shutdown_default_executor()
    assert not held.running


def test_a_pool_cancelled_twice_ends_though_no_thread_was_free_to_end_it() -> None:
    held = Held()
    pool = ThreadPoolExecutor(1)

    async def leave(entered: asyncio.Event) -> None:
        async with rebuilt.ending(pool):
            entered.set()
            await asyncio.Event().wait()

    async def main() -> None:
        loop, entered = asyncio.get_running_loop(), asyncio.Event()
        loop.set_default_executor(ThreadPoolExecutor(1))
        busy = loop.run_in_executor(None, held)
        leaving = asyncio.ensure_future(leave(entered))
        await entered.wait()
        while not leaving.done():
            leaving.cancel()
            await asyncio.sleep(0)
        held.let_go.set()
        await busy

    asyncio.run(main())
    with pytest.raises(RuntimeError, match="after shutdown"):
        pool.submit(print)


@pytest.mark.asyncio_only
async def test_cancelled_to_thread_leaves_its_calls_running() -> None:
    held = [Held() for _ in range(default_pool_size())]
    queued = Held()
    running = asyncio.ensure_future(rebuilt.to_thread([*held, queued]))
    for job in held:
        await job.has_begun()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert all(job.running for job in held)
    for job in (*held, queued):
        job.let_go.set()
    # asyncio.run does this as it ends.
    await asyncio.get_running_loop().shutdown_default_executor()
    assert not any(job.running for job in held)
    assert not queued.begun.is_set()


@pytest.mark.asyncio_only
async def test_tasks_hear_of_a_cancellation_when_all_have_run() -> None:
    done: list[int] = []
    running = asyncio.ensure_future(rebuilt.tasks([partial(done.append, i) for i in range(3)]))
    await asyncio.sleep(0)
    assert done == []
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert done == [0, 1, 2]


class Readers:
    """A job for each core; every one blocks in another process until it is let go."""

    def __init__(self, folder: Path) -> None:
        self._fifos = [folder / f"fifo{i}" for i in range(CORES)]
        self._ends: dict[Path, int] = {}
        self.jobs: list[Job] = [partial(Path.read_bytes, fifo) for fifo in self._fifos]

    def __enter__(self) -> Self:
        for fifo in self._fifos:
            os.mkfifo(fifo)
        return self

    def __exit__(self, *exc: object) -> None:
        # Opened for both, a FIFO lets every reader in; removed, it keeps none waiting later.
        for fifo in self._fifos:
            if fifo not in self._ends:
                self._ends[fifo] = os.open(fifo, os.O_RDWR | os.O_NONBLOCK)
            fifo.unlink()
        self.let_go()

    def let_go(self) -> None:
        while self._ends:
            os.close(self._ends.popitem()[1])

    async def one_runs(self) -> None:
        """Wait until one more job runs, and hold it."""
        with anyio.fail_after(30):
            while True:
                for fifo in set(self._fifos) - set(self._ends):
                    if self._hold(fifo):
                        return
                await anyio.sleep(0.005)

    async def all_run(self) -> None:
        while len(self._ends) < len(self._fifos):
            await self.one_runs()

    def _hold(self, fifo: Path) -> bool:
        try:
            self._ends[fifo] = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            # Nobody reads: the job has not begun.
            if error.errno != errno.ENXIO:
                raise
            return False
        return True


def marks(folder: Path) -> list[Job]:
    """Return jobs that leave a file each, after a moment."""
    return [partial(os.system, f"sleep 0.02; touch {folder}/{i}.done") for i in range(20)]


@pytest.mark.asyncio_only
async def test_cancelled_processes_finish_their_jobs_and_begin_no_more(tmp_path: Path) -> None:
    with Readers(tmp_path) as readers:
        running = asyncio.ensure_future(rebuilt.processes(readers.jobs + marks(tmp_path)))
        await readers.all_run()
        running.cancel()
        done, _ = await asyncio.wait([running], timeout=0.05)
        assert not done
        readers.let_go()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert multiprocessing.active_children() == []
        # The pool hands its processes a few calls ahead of time: cores + 1.
        assert len(list(tmp_path.glob("*.done"))) <= CORES + 1


@pytest.mark.asyncio_only
async def test_after_an_error_processes_begin_no_more_jobs(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        await rebuilt.processes([fail_by_zero, *marks(tmp_path)])
    assert multiprocessing.active_children() == []
    assert len(list(tmp_path.glob("*.done"))) < 20


@contextmanager
def third_thread_fails(patch: pytest.MonkeyPatch) -> Iterator[None]:
    start, calls = Thread.start, iter(range(1000))

    def limited(thread: Thread) -> None:
        if next(calls) == 2:
            raise RuntimeError("can't start new thread")
        start(thread)

    with patch.context() as inside:
        inside.setattr(Thread, "start", limited)
        yield


@pytest.mark.asyncio_only
@pytest.mark.parametrize(
    "version", [original.threads, rebuilt.threads], ids=["original", "rebuilt"]
)
async def test_a_thread_that_does_not_start_ends_the_others(
    version: Callable[[Sequence[Job]], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = [Held() for _ in range(4)]
    for job in jobs:
        job.let_go.set()
    with third_thread_fails(monkeypatch), pytest.raises(RuntimeError, match="new thread"):
        await version(jobs)
    assert jobs[0].begun.is_set()
    assert not any(job.running for job in jobs)


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_what_ends_a_thread_is_raised_in_the_caller(error: type[BaseException]) -> None:
    def end() -> None:
        raise error

    with pytest.raises(error):
        original.threads(list[Job]([end, int]))


def test_the_first_failed_job_decides_what_is_raised() -> None:
    later = threading.Event()

    def first() -> None:
        assert later.wait(30)
        raise ValueError("first in order")

    def second() -> None:
        later.set()
        raise ValueError("first in time")

    with pytest.raises(ValueError, match="first in order"):
        original.threads([first, second])


# The processes that anyio keeps.


def test_kept_processes_answer_in_order(anyio_run: Callable[..., Any]) -> None:
    numbers = [20_000, 10_000, 3, 2, 1, 0]
    jobs = [partial(math.factorial, n) for n in numbers]
    assert anyio_run(toolkit.kept_processes, jobs) == [math.factorial(n) for n in numbers]


def test_kept_processes_raise_what_a_job_raised(anyio_run: Callable[..., Any]) -> None:
    with an_error(ValueError, "seven"):
        anyio_run(toolkit.kept_processes, [partial(int, "7"), partial(int, "seven"), int])


def test_kept_processes_are_the_same_in_the_next_call(anyio_run: Callable[..., Any]) -> None:
    async def call_twice() -> list[set[int]]:
        return [set(await toolkit.kept_processes([os.getpid] * 5 * CORES)) for _ in range(2)]

    first, second = anyio_run(call_twice)
    assert os.getpid() not in first
    assert second <= first
    assert len(first) <= CORES


def test_kept_processes_begin_no_job_after_a_cancellation(
    anyio_run: Callable[..., Any], tmp_path: Path
) -> None:
    async def cancel() -> set[Path]:
        async with anyio.create_task_group() as group:
            with Readers(tmp_path) as readers:
                group.start_soon(toolkit.kept_processes, readers.jobs + marks(tmp_path))
                await readers.all_run()
                # trio starts tasks in any order: some may have had their turn.
                before = set(tmp_path.glob("*.done"))
                group.cancel_scope.cancel()
        return before

    assert anyio_run(cancel) == set(tmp_path.glob("*.done"))


@pytest.mark.skipif(CORES < 2, reason="on one core no second process starts")
def test_no_process_is_lost_that_is_cancelled_as_it_starts(
    anyio_run: Callable[..., Any], tmp_path: Path
) -> None:
    async def cancel() -> None:
        await toolkit.kept_processes([int])
        async with anyio.create_task_group() as group:
            with Readers(tmp_path) as readers:
                group.start_soon(toolkit.kept_processes, readers.jobs)
                # The process that was kept is at work, the others are still starting.
                await readers.one_runs()
                group.cancel_scope.cancel()
                with anyio.CancelScope(shield=True):
                    await readers.all_run()

    anyio_run(cancel)


# The work and its inputs.


@given(st.integers(1, 3000))
def test_divisors_come_in_pairs(n: int) -> None:
    divisors = work.factorize(n)
    assert divisors == sorted({n // d for d in divisors})
    assert divisors[0] == 1
    assert all((n % d == 0) == (d in divisors) for d in range(1, min(n, 60) + 1))


def test_calls_block_by_turns() -> None:
    blocking_calls: Input = work.blocking_calls
    with blocking_calls(7, 1) as (jobs,):
        kinds = [job.func for job in jobs]
        paths = [job.args[0] for job in jobs if job.func is work.read_file]
        digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]
        answers = [job() for job in jobs]
    assert kinds == [work.slow_systemcall, work.read_file, work.ask] * 2 + [work.slow_systemcall]
    assert answers[0::3] == [0, 0, 0]
    assert answers[1::3] == digests
    assert answers[2::3] == [job.args[1] for job in jobs[2::3]]
    assert len({*answers[1:6]} - {0}) == 4
    assert not any(path.exists() for path in paths)


@pytest.mark.parametrize("input_of", [work.blocking_calls, work.numbers])
def test_a_seed_gives_the_same_input_again(input_of: Input) -> None:
    def answers(seed: int) -> list[Any]:
        with input_of(3, seed) as (jobs,):
            return [job() for job in jobs]

    assert answers(1) == answers(1) != answers(2)


def test_nobody_answers_when_the_server_has_gone() -> None:
    with echo_server(1) as address:
        assert work.ask(address, "there?") == "there?"
    with pytest.raises(ConnectionRefusedError):
        work.ask(address, "still there?")


def test_rude_callers_do_not_end_the_server(capfd: pytest.CaptureFixture[str]) -> None:
    with echo_server(8) as address:
        for _ in range(5):
            socket.create_connection(address).close()
        with socket.create_connection(address) as rude:
            rude.sendall(b"x" * 100_000)
            # What it had not read by then makes the end a reset.
            with suppress(ConnectionResetError):
                assert rude.recv(1) == b""
        assert work.ask(address, "there?") == "there?"
    assert capfd.readouterr().err == ""


# Children: they never see Ctrl-C, and never outlive their parent.


def python(code: str) -> subprocess.CompletedProcess[str]:
    """Run a program; return when nobody holds its output open any more."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=50
    )


def test_a_child_never_sees_ctrl_c() -> None:
    done = python(
        "import multiprocessing, os, signal\n"
        f"from {PACKAGE} import server, work\n"
        "work.ANSWER_TIMEOUT = 5\n"
        "with server.echo_server(1) as address:\n"
        "    [child] = multiprocessing.active_children()\n"
        "    os.kill(child.pid, signal.SIGINT)\n"
        "    print(work.ask(address, 'there?'))\n"
    )
    assert (done.stdout, done.stderr) == ("there?\n", "")


@pytest.mark.asyncio_only
async def test_workers_block_ctrl_c_from_their_first_instruction() -> None:
    # A mask is inherited. A handler that the worker sets itself would come too late.
    ask = partial(signal.pthread_sigmask, signal.SIG_BLOCK, ())
    before = ask()
    for blocked in await rebuilt.processes([ask] * CORES):
        assert signal.SIGINT in blocked
    assert ask() == before


@pytest.mark.parametrize("block", ["server.echo_server(1)", "costs.busy_processes(1)"])
def test_no_child_outlives_a_killed_parent(block: str) -> None:
    done = python(
        "import os, signal\n"
        f"from {PACKAGE} import costs, server\n"
        f"with {block}:\n"
        "    print('up', flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert (done.returncode, done.stdout) == (-signal.SIGKILL, "up\n")


# The tables.


def table(call: str) -> dict[str, dict[str, float]]:
    """Return a table measured in a process of its own."""
    done = python(f"import json\nfrom {PACKAGE} import costs\nprint(json.dumps(costs.{call}))")
    assert done.stderr == ""
    found: dict[str, dict[str, float]] = json.loads(done.stdout)
    return found


def test_units_are_weighed() -> None:
    measured = table("units(50, 1)")
    assert list(measured) == ["generator", "coroutine", "asyncio task", "thread"]
    for row in measured.values():
        assert list(row) == ["start µs", "resident KiB", "reserved KiB"]
        assert row["start µs"] > 0
    thread = measured["thread"]
    # A stack takes memory for the pages it has used, address space for all of them.
    assert 0 < thread["resident KiB"] < thread["reserved KiB"]
    assert thread["resident KiB"] > measured["generator"]["resident KiB"]


def test_a_thread_reserves_its_stack() -> None:
    done = python(
        "import threading\n"
        f"from {PACKAGE} import costs\n"
        "threading.stack_size(3 << 20)\n"
        "print(costs.units(50, 1)['thread']['reserved KiB'] >= 3 << 10)\n"
        "threading.stack_size(9 << 20)\n"
        "print(costs.units(50, 1)['thread']['reserved KiB'] >= 9 << 10)\n"
    )
    assert (done.stdout, done.stderr) == ("True\nTrue\n", "")


def test_memory_is_nan_where_the_kernel_does_not_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(path: Path) -> str:
        raise FileNotFoundError(path)

    monkeypatch.setattr(Path, "read_text", missing)
    row = costs.units(2, 1)["thread"]
    assert math.isnan(row["resident KiB"])
    assert math.isnan(row["reserved KiB"])
    assert row["start µs"] > 0


def test_lateness_is_measured_under_every_load() -> None:
    measured = costs.lateness(10, 1)
    assert list(measured) == [
        "nothing else",
        "one busy thread",
        "four busy threads",
        "two busy processes",
    ]
    for row in measured.values():
        assert list(row) == ["median ms", "worst ms"]
        assert row["median ms"] <= row["worst ms"]


def test_loads_are_there_in_the_block_only() -> None:
    before = set(threading.enumerate())
    with costs.busy_threads(4):
        loads = set(threading.enumerate()) - before
        assert len(loads) == 4
    assert not loads & set(threading.enumerate())
    with costs.busy_processes(2):
        assert len(multiprocessing.active_children()) == 2
    assert multiprocessing.active_children() == []


# Each version run alone.


def start(version: str, *options: str) -> AbstractContextManager[subprocess.Popen[str]]:
    return started(sys.executable, "-m", f"{PACKAGE}.{version}", *options)


@pytest.mark.parametrize(
    ("version", "rows"),
    [
        ("original", ["serial", "threads", "serial", "threads"]),
        ("rebuilt", ["to_thread", "threads", "tasks", "processes"]),
        ("toolkit", ["asyncio", "trio"]),
    ],
)
@skip_without("trio")
def test_alone_prints_a_row_a_version(version: str, rows: list[str]) -> None:
    with start(version, "--size", "2") as running:
        out, err = running.communicate(timeout=50)
    lines = out.splitlines()
    assert [line.split()[0] for line in lines if line.startswith("  ")] == rows
    assert lines[0] == "2 calls of select, 0.1 s each"
    assert err == ""


@pytest.mark.parametrize("to", [os.killpg, os.kill], ids=["group", "parent"])
@pytest.mark.parametrize(
    ("version", "size", "at"),
    [
        ("original", "300", "serial"),
        ("rebuilt", "300", "to_thread"),
        ("rebuilt", "2", "processes"),
        ("toolkit", "300", "asyncio"),
    ],
)
def test_ctrl_c_ends_all(version: str, size: str, at: str, to: Callable[[int, int], None]) -> None:
    with start(version, "--size", size) as running:
        assert running.stdout is not None
        seen = b""
        while at.encode() not in seen:
            more = os.read(running.stdout.fileno(), 100)
            assert more, seen
            seen += more
        to(running.pid, signal.SIGINT)
        # Both pipes end only when the last process that holds them has gone.
        _, err = running.communicate(timeout=50)
    assert running.returncode == 130
    assert err == f"python -m {PACKAGE}.{version}: interrupted\n"


def test_reserved_memory_of_a_thread_does_not_depend_on_their_number() -> None:
    code = (
        "import sys; from aconcur.lessons.item37_threads.costs import units;"
        "print(units(int(sys.argv[1]), 0)['thread']['reserved KiB'])"
    )
    few, many = (
        float(subprocess.check_output([sys.executable, "-c", code, str(count)], text=True))
        for count in (20, 200)
    )
    assert few == pytest.approx(many, rel=0.05)
