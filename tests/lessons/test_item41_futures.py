"""Item 41: one by one, in threads, in processes, awaited: same answers, and nothing left."""

from __future__ import annotations

import asyncio
import math
import os
import re
import signal
import subprocess
import sys
import threading
import tomllib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import BrokenExecutor, Future, wait
from contextlib import aclosing, contextmanager
from functools import partial
from itertools import pairwise
from multiprocessing import active_children
from multiprocessing.context import SpawnProcess
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aconcur.errors import AconcurError
from aconcur.lessons.item41_futures import costs, original, preconditions, rebuilt, toolkit, work
from aconcur.lessons.item41_futures.pool import WORKERS, ProcessPool
from aconcur.lessons.item41_futures.work import DEADLY, LONG, Pair, fragile, gcd, make_pairs
from tests.support import item41_jobs as jobs
from tests.support.programs import started
from tests.support.states import until_sync

LESSON = "item41_futures"
ENTRIES = ("serial", "threads", "processes", "in_order")
IN_PROCESSES = ("processes", "in_order")
IN_A_POOL = ("mapped", "collected")

pytestmark = pytest.mark.usefixtures("light_main_module")
Call = Callable[..., Awaitable[Any]]
spared: set[BaseProcess] = set()
positive = st.integers(1, 300)
pairs_of_positives = st.tuples(positive, positive)


@pytest.fixture(scope="module")
def pool() -> Iterator[ProcessPool]:
    with ProcessPool() as pool:
        wait(pool.starting)
        spared.update(active_children())
        yield pool
        spared.clear()


@pytest.fixture
def job(monkeypatch: pytest.MonkeyPatch) -> Callable[[object], None]:
    """Put another job in the place of gcd, in every version."""

    def put(fn: object) -> None:
        for version in (original, rebuilt, toolkit):
            monkeypatch.setattr(version, "gcd", fn)

    return put


def children() -> set[BaseProcess]:
    """Return the worker processes that live, less those of the module's own pool."""
    return set(active_children()) - spared


def leaves(error: BaseException) -> list[BaseException]:
    """Return the errors in a group, or the error itself."""
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in leaves(inner)]
    return [error]


async def errors_of(call: Awaitable[object]) -> list[BaseException]:
    """Return what a call raises: one version groups it, another does not."""
    try:
        answer = await call
    except (ValueError, BrokenExecutor, AconcurError, ExceptionGroup) as error:
        return leaves(error)
    pytest.fail(f"no error, but {answer}")


async def all_there(*paths: Path) -> None:
    """Wait for files that jobs touch."""
    with anyio.fail_after(30):
        for path in paths:
            while True:
                await anyio.sleep(0.005)
                if path.exists():
                    break


def names(folder: Path, count: int) -> list[str]:
    return [str(folder / f"job {number}") for number in range(count)]


# --- the job


@given(pairs_of_positives)
def test_gcd_is_the_greatest_common_divisor(pair: Pair) -> None:
    assert gcd(pair) == math.gcd(*pair)


@pytest.mark.parametrize(
    ("pair", "answer"), [((1, 1), 1), ((12, 12), 12), ((1, 99), 1), ((8, 9), 1), ((7, 21), 7)]
)
def test_gcd_of_equal_coprime_and_dividing_numbers(pair: Pair, answer: int) -> None:
    assert gcd(pair) == answer


@given(st.integers(-9, 0), st.integers(-9, 9))
def test_gcd_of_what_is_not_positive_names_the_value(bad: int, other: int) -> None:
    for pair in ((bad, other), (other, bad)):
        with pytest.raises(ValueError, match="not positive") as caught:
            gcd(pair)
        assert str(pair) in str(caught.value)
        assert f": {min(pair)} is" in str(caught.value)


def test_input_is_the_same_for_the_same_seed() -> None:
    assert make_pairs(5, seed=1) == make_pairs(5, seed=1) != make_pairs(5, seed=2)
    with work.random_pairs(5, 1) as (pairs,):
        assert pairs == make_pairs(5, seed=1)
    with work.random_pairs_and_pool(5, 1) as (pairs, warm):
        assert pairs == make_pairs(5, seed=1)
        assert list(warm.map(gcd, [(4, 6)])) == [2]


# --- what all versions do


@pytest.mark.entry(*ENTRIES)
async def test_answers_stand_in_the_order_of_the_pairs(call: Call) -> None:
    pairs = [(90_000, 60_000), (5, 5), (1, 7), (8, 9)] + [(6 * n, 4 * n) for n in range(1, 40)]
    assert await call(iter(pairs)) == [math.gcd(*pair) for pair in pairs]


@pytest.mark.entry(*ENTRIES)
async def test_no_pairs_no_answers(call: Call) -> None:
    assert await call([]) == []


@pytest.mark.entry(*ENTRIES)
async def test_error_names_the_pair_and_leaves_nothing(call: Call) -> None:
    pairs = [(4, 6), (3, 0), (1, 1)] + [(2, 2)] * 20
    (error,) = await errors_of(call(pairs))
    assert isinstance(error, ValueError)
    assert "(3, 0)" in str(error)
    assert not children()


@pytest.mark.entry("threads", *IN_PROCESSES)
async def test_an_early_answer_waits_for_its_turn(
    call: Call, job: Callable[[object], None], tmp_path: Path
) -> None:
    # The first job ends when the second has begun, so they run at once and end in either order.
    job(jobs.relay)
    first, second, third = names(tmp_path, 3)
    assert await call([(first, second), (second, second), (third, first)]) == [first, second, third]


@pytest.mark.entry(*IN_A_POOL)
async def test_in_a_pool_too_an_early_answer_waits_for_its_turn(
    call: Call, job: Callable[[object], None], pool: ProcessPool, tmp_path: Path
) -> None:
    job(jobs.relay)
    first, second = names(tmp_path, 2)
    assert await call([(first, second), (second, second)], pool) == [first, second]


@pytest.mark.entry(*IN_A_POOL)
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(pairs=st.lists(pairs_of_positives, max_size=12))
async def test_a_pool_that_is_there_already_gives_the_same(
    call: Call, pool: ProcessPool, pairs: list[Pair]
) -> None:
    assert await call(pairs, pool) == [math.gcd(*pair) for pair in pairs]


@pytest.mark.entry(*IN_A_POOL)
async def test_an_error_leaves_the_pool_to_its_owner(call: Call, pool: ProcessPool) -> None:
    for error in await errors_of(call([(1, 0)] * 5, pool)):
        assert str(error) == "gcd of (1, 0): 0 is not positive"
    assert await call([(4, 6)], pool) == [2]


@pytest.mark.entry(*IN_PROCESSES)
async def test_a_dead_worker_is_an_error_and_leaves_nothing(
    call: Call, job: Callable[[object], None]
) -> None:
    job(fragile)
    with anyio.fail_after(30):
        errors = await errors_of(call([(1, 1), DEADLY, (2, 2), (3, 3)]))
    # The toolkit's pool knows who was guilty.
    named = {type(error).__name__ for error in errors}
    assert named in ({"BrokenProcessPool"}, {"WorkerDied"})
    assert not children()


async def each(answers: object) -> AsyncGenerator[tuple[int, Any], None]:
    """Go through a generator of either kind."""
    if isinstance(answers, AsyncIterator):
        async for answer in answers:
            yield answer
    elif isinstance(answers, Iterator):
        for answer in answers:
            yield answer


@pytest.mark.timeout(20)
@pytest.mark.entry("as_completed")
async def test_the_short_call_comes_before_the_long_one(
    call: Call, pool: ProcessPool, tmp_path: Path
) -> None:
    # The long one ends only after the short one has been received.
    long, short, go = names(tmp_path, 3)
    came = []
    items = [(long, go), (short, short)]
    try:
        with anyio.fail_after(15):
            async with aclosing(each(await call(pool, jobs.relay, items))) as answers:
                async for number, answer in answers:
                    came.append((number, answer))
                    Path(go).touch()
    finally:
        Path(go).touch()
    assert came == [(1, short), (0, long)]


# --- what only the rebuilt version does


@pytest.mark.asyncio_only
@pytest.mark.parametrize("entry", IN_A_POOL)
async def test_a_huge_input_is_taken_a_window_at_a_time(
    entry: str, job: Callable[[object], None], pool: ProcessPool, tmp_path: Path
) -> None:
    job(jobs.relay)
    busy, go = names(tmp_path, WORKERS), tmp_path / "go"
    taken = []

    def endless() -> Iterator[tuple[str, str]]:
        for number in range(50):
            taken.append(number)
            yield busy[number % WORKERS], str(go)

    task = asyncio.create_task(getattr(rebuilt, entry)(endless(), pool))
    await all_there(*map(Path, busy))
    for _ in range(20):
        await asyncio.sleep(0)
    at_once = len(taken)
    go.touch()
    assert await task == [busy[number % WORKERS] for number in range(50)]
    assert at_once == pool.window == WORKERS + 1


@pytest.mark.asyncio_only
@pytest.mark.parametrize("entry", IN_A_POOL)
async def test_every_worker_of_a_wider_pool_is_busy(
    entry: str, job: Callable[[object], None], tmp_path: Path
) -> None:
    # Each job waits for all others to have begun.
    job(jobs.relay)
    *busy, go = names(tmp_path, WORKERS + 4)
    with ProcessPool(len(busy)) as wide:
        task = asyncio.create_task(getattr(rebuilt, entry)([(name, go) for name in busy], wide))
        try:
            await all_there(*map(Path, busy))
        finally:
            Path(go).touch()
        assert await task == busy


async def start_stuck(entry: str, folder: Path) -> asyncio.Task[Any]:
    """Start calls that never end; return when every worker runs one."""
    items = names(folder, 10)
    entries: dict[str, Callable[[Any], Coroutine[Any, Any, Any]]] = {
        "in_order": rebuilt.in_order,
        "survive": partial(rebuilt.survive, jobs.stuck),
    }
    task = asyncio.create_task(entries[entry](items))
    await all_there(*map(Path, items[:WORKERS]))
    return task


@pytest.mark.timeout(20)
@pytest.mark.asyncio_only
@pytest.mark.parametrize("entry", ["in_order", "survive"])
async def test_cancelling_kills_workers_that_run_for_ever(
    entry: str, job: Callable[[object], None], tmp_path: Path
) -> None:
    job(jobs.stuck)
    task = await start_stuck(entry, tmp_path)
    assert len(children()) == WORKERS
    task.cancel()
    with anyio.fail_after(20), pytest.raises(asyncio.CancelledError):
        await task
    assert not children()


@pytest.mark.asyncio_only
@pytest.mark.parametrize("entry", IN_A_POOL)
async def test_cancelling_leaves_the_pool_to_its_owner(
    entry: str, job: Callable[[object], None], pool: ProcessPool, tmp_path: Path
) -> None:
    job(jobs.relay)
    *busy, go = names(tmp_path, WORKERS + 1)
    task = asyncio.create_task(getattr(rebuilt, entry)([(name, go) for name in busy], pool))
    await all_there(*map(Path, busy))
    task.cancel()
    with anyio.fail_after(20), pytest.raises(asyncio.CancelledError):
        await task
    Path(go).touch()
    assert await asyncio.wrap_future(pool.submit(gcd, (4, 6))) == 2


@pytest.mark.asyncio_only
async def test_cancelling_while_the_workers_start() -> None:
    task = asyncio.create_task(rebuilt.in_order([LONG]))
    await asyncio.sleep(0)
    assert len(children()) == WORKERS
    task.cancel()
    with anyio.fail_after(20), pytest.raises(asyncio.CancelledError):
        await task
    assert not children()


@pytest.mark.asyncio_only
async def test_cancelling_while_the_workers_end(monkeypatch: pytest.MonkeyPatch) -> None:
    to_thread = asyncio.to_thread
    reached = []

    def cancelled_meanwhile(fn: Callable[[], object]) -> Awaitable[object]:
        reached.append(fn)
        task = asyncio.current_task()
        assert task is not None
        asyncio.get_running_loop().call_soon(task.cancel)
        return to_thread(fn)

    monkeypatch.setattr(asyncio, "to_thread", cancelled_meanwhile)
    task = asyncio.create_task(rebuilt.in_order([(4, 6)]))
    with anyio.fail_after(20), pytest.raises(asyncio.CancelledError):
        await task
    assert reached
    assert not children()


@pytest.mark.timeout(20)
@pytest.mark.entry("within")
async def test_a_timeout_kills_the_worker(call: Call, tmp_path: Path) -> None:
    assert await call(60, gcd, (4, 6)) == 2
    with anyio.fail_after(20), pytest.raises(TimeoutError):
        await call(0.01, jobs.stuck, str(tmp_path / "job"))
    assert not children()


@pytest.mark.timeout(20)
@pytest.mark.asyncio_only
async def test_the_time_runs_from_when_the_worker_is_ready(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    submitted: list[object] = []
    submit = ProcessPool.submit

    def noted(self: ProcessPool, fn: Callable[..., Any], *args: object) -> Future[Any]:
        submitted.append(fn)
        return submit(self, fn, *args)

    monkeypatch.setattr(ProcessPool, "submit", noted)
    with anyio.fail_after(20), pytest.raises(TimeoutError):
        await rebuilt.within(0, jobs.stuck, str(tmp_path / "job"))
    assert submitted == [int, jobs.stuck]


@pytest.mark.timeout(20)
@pytest.mark.asyncio_only
async def test_a_pool_goes_with_the_error_of_its_block(tmp_path: Path) -> None:
    path = tmp_path / "job"

    async def fail() -> None:
        async with rebuilt.open_pool(1) as pool:
            calls.append(pool.submit(jobs.stuck, str(path)))
            await all_there(path)
            raise ZeroDivisionError

    calls: list[Future[Any]] = []
    with anyio.fail_after(20), pytest.raises(ZeroDivisionError):
        await fail()
    (call,) = calls
    assert isinstance(call.exception(), BrokenExecutor)
    assert not children()


@pytest.mark.asyncio_only
async def test_a_reader_who_leaves_early_hears_no_complaint(
    pool: ProcessPool, tmp_path: Path
) -> None:
    # asyncio would complain of an error that nobody has looked at.
    complaints: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: complaints.append(context))
    here, there, good, bad, go = names(tmp_path, 5)
    items = [(good, good), (bad, go), (bad, go)]
    soonest = rebuilt.as_completed(pool, jobs.relay_or_fail, items)
    async with aclosing(soonest):
        assert await anext(soonest) == (0, good)
        Path(go).touch()
        # Both workers do this after the calls that failed, so the errors have come.
        await asyncio.gather(
            loop.run_in_executor(pool, jobs.relay, (here, there)),
            loop.run_in_executor(pool, jobs.relay, (there, here)),
        )
    del soonest
    await asyncio.sleep(0)
    assert complaints == []


@pytest.mark.asyncio_only
async def test_the_loop_goes_on_while_the_workers_end(monkeypatch: pytest.MonkeyPatch) -> None:
    on_the_loop = threading.current_thread()
    enders = []
    shutdown = ProcessPool.shutdown

    def noted(self: ProcessPool, **options: bool) -> None:
        enders.append(threading.current_thread())
        shutdown(self, **options)

    monkeypatch.setattr(ProcessPool, "shutdown", noted)
    await rebuilt.in_order([(4, 6)])
    assert len(enders) == 1
    assert on_the_loop not in enders


# --- workers that die


@pytest.mark.entry("survive")
async def test_the_others_survive(call: Call) -> None:
    deadly = {1, 8}
    items = [DEADLY if number in deadly else (number + 2, 1) for number in range(10)]
    with anyio.fail_after(60):
        answers, named = await call(fragile, iter(items))
    assert named == dict.fromkeys(deadly, DEADLY)
    assert answers == {number: 1 for number in range(10) if number not in deadly}


@pytest.mark.asyncio_only
async def test_who_dies_only_once_is_not_deadly(tmp_path: Path) -> None:
    items = names(tmp_path, 1)
    with anyio.fail_after(60):
        assert await rebuilt.survive(jobs.die_once, items) == ({0: items[0]}, {})


@pytest.mark.asyncio_only
async def test_no_pool_is_wider_than_the_jobs_that_are_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    widths: list[int] = []
    open_pool = rebuilt.open_pool

    def noted(workers: int = WORKERS) -> Any:  # noqa: ANN401 - a context manager
        widths.append(workers)
        return open_pool(workers)

    monkeypatch.setattr(rebuilt, "open_pool", noted)
    assert await rebuilt.survive(fragile, []) == ({}, {})
    assert widths == []
    assert await rebuilt.survive(fragile, [(4, 6)]) == ({0: 2}, {})
    assert widths == [1]
    widths.clear()
    assert await rebuilt.survive(fragile, [DEADLY]) == ({}, {0: DEADLY})
    assert widths == [1, 1]


@pytest.mark.entry("survive")
async def test_an_error_is_not_a_death(call: Call) -> None:
    (error,) = await errors_of(call(gcd, [(4, 6), (3, 0)]))
    assert str(error) == "gcd of (3, 0): 0 is not positive"
    assert not children()


# --- the pool


def test_all_workers_start_with_the_pool() -> None:
    with ProcessPool(3) as pool:
        assert len(children()) == 3
        assert pool.submit(gcd, (4, 6)).result() == 2


def test_a_pool_that_cannot_start_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    start = SpawnProcess.start
    begun: list[SpawnProcess] = []

    def once(self: SpawnProcess) -> None:
        if begun:
            raise OSError("out of processes")
        begun.append(self)
        start(self)

    monkeypatch.setattr(SpawnProcess, "start", once)
    with pytest.raises(OSError, match="out of processes"):
        ProcessPool()
    assert len(begun) == 1
    assert not children()


def test_workers_do_not_see_ctrl_c() -> None:
    with ProcessPool() as pool:
        # Sent before and after the workers are ready.
        for _ in range(2):
            for worker in children():
                assert worker.pid is not None
                os.kill(worker.pid, signal.SIGINT)
            wait(pool.starting)
        assert list(pool.map(gcd, [(4, 6)] * 4)) == [2] * 4


# --- each version by itself

IDLE = 0.0
BUSY = 0.6


def stat(pid: int | str) -> list[str]:
    """Return what proc(5) says of a process, from its state on; nothing if it has gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def computed(pid: int) -> float:
    """Return the CPU seconds of a process, in user mode."""
    return int(stat(pid)[11]) / os.sysconf("SC_CLK_TCK")


def workers_of(pid: int) -> list[int]:
    """Return the workers, which is all children but multiprocessing's own helper."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [
        int(one)
        for one in children
        if re.search(b"(spawn|exec)_main", Path(f"/proc/{one}/cmdline").read_bytes())
    ]


def lives(pid: int) -> bool:
    """Return whether a process is there that does not only wait to be reaped."""
    said = stat(pid)
    return bool(said) and said[0] != "Z"


def group_is_there(group: int) -> bool:
    """Return whether a process of the group lives; who only waits to be reaped does not."""
    every = (stat(path.name) for path in Path("/proc").glob("[0-9]*"))
    return any(said[2] == str(group) and said[0] != "Z" for said in every if said)


@contextmanager
def running(version: str, size: int, busy: float) -> Iterator[subprocess.Popen[str]]:
    """Run a version by itself; enter when a worker has computed for ``busy`` seconds."""
    module = f"aconcur.lessons.{LESSON}.{version}"
    with started(sys.executable, "-m", module, "--size", str(size)) as program:
        until_sync(lambda: any(computed(worker) >= busy for worker in workers_of(program.pid)))
        yield program


needs_proc = pytest.mark.skipif(
    not Path("/proc/self/task").is_dir(), reason="finds the workers in /proc"
)


@needs_proc
@pytest.mark.timeout(60)
@pytest.mark.parametrize("to", ["group", "parent"])
@pytest.mark.parametrize(
    ("version", "size", "busy"),
    [
        ("original", 10, IDLE),
        ("rebuilt", 9999, IDLE),
        ("rebuilt", 9999, BUSY),
        ("toolkit", 9999, IDLE),
        ("toolkit", 9999, BUSY),
    ],
    ids=[
        "original-starting",
        "rebuilt-starting",
        "rebuilt-busy",
        "toolkit-starting",
        "toolkit-busy",
    ],
)
def test_ctrl_c_ends_it_all(version: str, size: int, busy: float, to: str) -> None:
    with running(version, size, busy) as program:
        kill = os.killpg if to == "group" else os.kill
        workers = workers_of(program.pid)
        kill(program.pid, signal.SIGINT)
        out, err = program.communicate(timeout=30)
        assert program.returncode == 130
        (said,) = err.strip().splitlines()
        assert said.endswith("interrupted")
        assert out.startswith(f"gcd of {size} pairs")
        until_sync(lambda: not group_is_there(program.pid) and not any(map(lives, workers)))


@needs_proc
@pytest.mark.timeout(60)
@pytest.mark.parametrize("version", ["rebuilt", "toolkit"])
def test_no_worker_outlives_a_killed_parent(version: str) -> None:
    with running(version, 9999, BUSY) as program:
        workers = workers_of(program.pid)
        program.kill()
        program.wait()
        until_sync(lambda: not group_is_there(program.pid) and not any(map(lives, workers)))


def test_original_shows_every_way(capsys: pytest.CaptureFixture[str]) -> None:
    original.main(4)
    first, *lines = capsys.readouterr().out.splitlines()
    assert first == "gcd of 4 pairs by brute force, 2 workers"
    assert [line.split()[0] for line in lines] == ["serial", "threads", "processes"]


def test_rebuilt_shows_its_strengths(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rebuilt, "active_children", children)
    asyncio.run(rebuilt.main(6))
    out = capsys.readouterr().out
    assert "0 workers left" in out
    assert "8 of 9 answers, deadly: [(13, 13)]" in out


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_toolkit_shows_its_strengths(capsys: pytest.CaptureFixture[str], backend: str) -> None:
    anyio.run(toolkit.main, 6, backend=backend)
    out = capsys.readouterr().out
    assert "in order" in out
    assert "timeout      no result after 0.2 s" in out
    assert "8 of 9 answers, deadly: [(13, 13)]" in out


# --- the figures


@pytest.mark.parametrize("table", ["steps", "once", "pays"])
def test_tables_hold_what_the_lesson_promises(table: str) -> None:
    lesson = tomllib.loads(Path(costs.__file__).with_name("lesson.toml").read_text("utf-8"))
    (said,) = (one for one in lesson["table"] if one["id"] == table)
    rows = getattr(costs, table)(60 if table == "pays" else 1, 41)
    assert rows
    for row, columns in rows.items():
        assert list(columns) == said["columns"], row
        # An import happens once a worker, so a MiB adds nothing to it.
        unknown = {column for column, figure in columns.items() if math.isnan(figure)}
        once = table == "steps" and row.startswith("5 import")
        assert unknown == ({"µs a MiB"} if once else set())


@pytest.mark.parametrize(("name", "each"), costs.LENGTHS)
def test_every_row_of_pays_has_equal_work_in_whole_chunks(name: str, each: int) -> None:
    calls = costs.inputs_of(each, 60)
    assert len(calls) * each == 60_000, name
    assert len(calls) % costs.CHUNKS == 0
    with pytest.raises(ValueError, match=r"50 ms of calls of .* make no 4 equal chunks"):
        [costs.inputs_of(length, 50) for _, length in costs.LENGTHS]


def test_what_a_worker_adds_to_a_list_is_not_seen_here() -> None:
    rows = preconditions.measured(4, 41)
    arrived = rows["updates of a shared list that arrive"]
    assert arrived == {"in threads": 4, "in processes": 0}


def test_the_steps_add_up() -> None:
    rows = costs.steps(5, 41)
    parts = [row for row in rows if row[0].isdigit() and not row.startswith("5")]
    assert [int(row.split()[0].strip(",")) for row in parts] == [2, 3, 4, 6, 7, 9, 1]
    for column, total in rows["whole call"].items():
        assert math.isclose(sum(rows[part][column] for part in parts), total)
    assert rows["2 pickle the call"]["µs a call"] > 0


def test_pairs_of_a_length_have_no_common_divisor() -> None:
    short, long = (costs.pairs_of(length, 3) for length in (10, 10_000))
    assert len(short) == len(long) == 3
    assert math.gcd(*long[0]) == 1
    assert all(a < b for a, b in pairwise([short[0][1], long[0][1]]))
