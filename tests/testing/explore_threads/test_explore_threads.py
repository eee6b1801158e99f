"""Faults of threads are found, named and shown; code without them passes; nothing is left."""

from __future__ import annotations

import gc
import logging
import queue
import signal
import sys
import threading
import time
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import BrokenExecutor, ThreadPoolExecutor
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial, wraps
from io import StringIO
from pathlib import Path
from threading import enumerate as listed

import pytest

from aconcur.testing import (
    Deadlock,
    Livelock,
    NotReproducibleError,
    UncontrolledWaitError,
    explore_threads,
    replay_threads,
)
from aconcur.testing._explore_threads import engine
from tests.testing.explore_threads import thread_bugs
from tests.testing.explore_threads.thread_bugs import BUGS, Scenario, together


def _os_threads() -> int:
    folder = Path("/proc/self/task")
    return len(list(folder.iterdir())) if folder.is_dir() else threading.active_count()


@pytest.fixture(autouse=True)
def no_thread_left() -> Iterator[None]:
    before = _os_threads()
    yield
    until = time.monotonic() + 5
    while _os_threads() > before and time.monotonic() < until:
        time.sleep(0.001)  # an OS thread ends just behind its last instruction
    assert _os_threads() <= before


# The one deviation of the first schedule that fails. Python 3.14 compiles `with` differently.
OPCODE_TOKENS = {
    "lost update": "10=1",
    "lost update through a property": "11=1",
    "deadlock of two locks": "12=1" if sys.version_info >= (3, 14) else "10=1",
    "check then act": "10=1",
    "missed wake-up": "10=1",
    "double close": "10=1",
    "one close for two workers": "base",
}
# Code without a call or a jump between its steps is never interrupted: CPython 3.11 to 3.13 run
# it as if it were atomic, and benchmarks/gil_grain.py shows it.
SPARED_BY_THE_GIL = {"lost update", "deadlock of two locks", "double close"}


@pytest.mark.parametrize("name", BUGS)
def test_a_fault_is_found_at_opcode_grain(name: str) -> None:
    found = explore_threads(BUGS[name][0], grain="opcode")
    assert found.failure is not None
    assert (found.backend, found.failed) == ("threads", 1)
    assert found.schedules <= 20
    assert found.failure.token == OPCODE_TOKENS[name]
    assert isinstance(found.failure.error, AssertionError)


@pytest.mark.parametrize("name", BUGS)
def test_its_twin_is_exhausted_without_a_failure(name: str) -> None:
    found = explore_threads(BUGS[name][1], grain="opcode").check()
    assert found.exhausted
    assert found.schedules > 200


@pytest.mark.parametrize("name", BUGS)
def test_the_gil_spares_what_it_spares_in_reality(name: str) -> None:
    found = explore_threads(BUGS[name][0], grain="gil", bound=1)
    assert found.ok == (name in SPARED_BY_THE_GIL)
    explore_threads(BUGS[name][1], grain="gil", bound=1).check()


def test_a_summary_tells_the_grain() -> None:
    found = explore_threads(thread_bugs.single_close, bound=0)
    assert found.grain == "gil"
    assert str(found) == (
        "threads at the grain of the GIL, bounded: "
        "none of all 1 schedule with at most 0 deviations failed"
    )
    again = replay_threads(thread_bugs.lost_update, "10=1", grain="opcode")
    assert again.summary().startswith("threads at the grain of every opcode, replay: 1 of ")
    with pytest.raises(AssertionError) as caught:
        again.check()
    assert caught.value.__notes__[0].startswith("threads at the grain of every opcode, schedule 1")


def test_a_plain_update_is_safe_under_the_gil_to_the_bound() -> None:
    found = explore_threads(thread_bugs.lost_update)
    assert found.ok
    assert found.exhausted
    assert not explore_threads(thread_bugs.lost_property_update).ok


@pytest.mark.parametrize("name", BUGS)
def test_a_token_names_its_schedule(name: str) -> None:
    scenario = BUGS[name][0]
    again = replay_threads(scenario, OPCODE_TOKENS[name], grain="opcode")
    assert again.failure is not None
    assert again.strategy == "replay"
    assert again.failure.token == OPCODE_TOKENS[name]


@pytest.mark.parametrize("strategy", ["random", "pct"])
def test_schedules_by_lot_find_it_too(strategy: str) -> None:
    found = explore_threads(
        thread_bugs.lost_update,
        grain="opcode",
        strategy=strategy,  # type: ignore[arg-type]
        schedules=500,
    )
    assert found.failure is not None
    token = found.failure.token
    assert not replay_threads(thread_bugs.lost_update, token, grain="opcode").ok


def test_a_deadlock_names_who_waits_for_whom() -> None:
    found = explore_threads(thread_bugs.opposite_orders, grain="opcode")
    assert found.failure is not None
    error = found.failure.error
    assert isinstance(error, Deadlock)
    assert error.cycle == ("take#1", "take#2", "take#1")
    main, first, second = error.waiting
    assert (main.task, main.operation, main.on) == ("main", "Thread.join", "thread")
    assert (first.task, first.operation, first.on, first.holder) == (
        "take#1",
        "Lock.__enter__",
        "second",
        "take#2",
    )
    assert second.holder == "take#1"
    assert first.where.startswith("thread_bugs.py:")
    assert first.where.endswith(" in take")


def test_a_wait_is_named_by_what_the_scenario_called() -> None:
    with pytest.raises(Deadlock) as caught:
        explore_threads(thread_bugs.one_close_for_two_workers).check()
    (join, get) = caught.value.waiting
    assert (join.operation, join.holder) == ("Thread.join", get.task)
    assert (get.operation, get.on) == ("ClosableQueue.get", "items")
    assert "replay token 'base'" in caught.value.__notes__[0]


def test_a_lock_that_its_holder_took_along_is_told() -> None:
    def scenario() -> None:
        lock = threading.Lock()
        together(lock.acquire, lambda: None)
        with lock:
            pass

    with pytest.raises(Deadlock) as caught:
        explore_threads(scenario).check()
    (main,) = caught.value.waiting
    assert (main.on, main.holder) == ("lock", "acquire#1 (ended)")
    assert caught.value.cycle == ()


def test_the_timeline_shows_each_thread_line_by_line() -> None:
    found = explore_threads(thread_bugs.lost_update, grain="opcode")
    assert found.failure is not None
    steps = [step for step in found.failure.timeline if step.function == "increment"]
    assert [(step.task, step.deviates) for step in steps] == [
        ("increment#1", False),
        ("increment#2", True),
        ("increment#1", False),
    ]
    assert {step.code for step in steps} == {"self.count += 1"}
    assert "> increment#2  thread_bugs.py:" in str(found)


def test_the_callers_context_is_the_scenarios_in_each_schedule() -> None:
    variable = ContextVar[str]("variable")
    token = variable.set("the caller's")
    seen: list[str] = []

    def scenario() -> None:
        seen.append(variable.get())
        variable.set("changed")
        together(lambda: None, lambda: None)

    try:
        assert explore_threads(scenario, bound=1).check().schedules == len(seen) > 1
        assert set(seen) == {"the caller's"}
        assert variable.get() == "the caller's"
    finally:
        variable.reset(token)


@pytest.mark.parametrize("grain", ["gil", "opcode"])
def test_started_threads_are_listed_as_alive(grain: str) -> None:
    outside = threading.enumerate()

    def scenario() -> None:
        event = threading.Event()
        threads = [threading.Thread(target=event.wait) for _ in range(2)]
        assert set(threading.enumerate()) == set(outside)
        for thread in threads:
            thread.start()
        assert set(threading.enumerate()) == {*outside, *threads}
        assert listed() == threading.enumerate()
        assert threading.active_count() == len(outside) + 2
        assert all(thread.native_id for thread in threads)
        assert len({thread.native_id for thread in threads}) == 2
        event.set()
        for thread in threads:
            thread.join()
        assert set(threading.enumerate()) == set(outside)

    explore_threads(scenario, grain=grain, bound=1).check()  # type: ignore[arg-type]
    assert threading.enumerate() == outside


def test_a_thread_that_never_had_its_turn_is_not_listed_afterwards() -> None:
    before = threading.enumerate()

    def scenario() -> None:
        threading.Thread(target=threading.Event().wait).start()
        raise OSError("mine")

    assert not explore_threads(scenario, bound=0).ok
    assert threading.enumerate() == before


def test_to_count_threads_before_one_is_started_is_a_race() -> None:
    def scenario() -> None:
        most, event = threading.active_count() + 3, threading.Event()

        def start_one() -> None:
            if threading.active_count() < most:
                threading.Thread(target=event.wait).start()
            event.wait()

        for _ in range(2):
            threading.Thread(target=start_one).start()
        time.sleep(1)
        alive = threading.active_count()
        event.set()
        assert alive <= most

    explore_threads(scenario, bound=0).check()
    assert not explore_threads(scenario, bound=1).ok


def test_an_error_in_any_thread_is_the_schedules() -> None:
    def fail() -> None:
        raise KeyError("mine")

    def scenario() -> None:
        waiting = threading.Thread(target=threading.Event().wait)
        waiting.start()
        together(fail)

    found = explore_threads(scenario)
    assert found.failure is not None
    assert isinstance(found.failure.error, KeyError)
    assert found.schedules == 1


def test_an_error_in_main_ends_the_others_and_runs_their_cleanup() -> None:
    cleaned: list[str] = []

    def wait(event: threading.Event) -> None:
        try:
            event.wait()
        finally:
            cleaned.append("event")

    def scenario() -> None:
        lock, event = threading.Lock(), threading.Event()
        threads = [
            threading.Thread(target=wait, args=(event,)),
            threading.Thread(target=time.sleep, args=(9,)),
            threading.Thread(target=lock.acquire),
        ]
        lock.acquire()
        for thread in threads:
            thread.start()
        time.sleep(1)
        raise OSError("mine")

    with pytest.raises(OSError, match="mine"):
        replay_threads(scenario, "base").check()
    assert cleaned == ["event"]


def test_a_thread_that_spins_without_end_is_cut_and_named() -> None:
    def scenario() -> None:
        stop = threading.Event()

        def spin() -> None:
            while not stop.is_set():
                pass

        together(spin)

    found = explore_threads(scenario, max_steps=2_000)
    assert found.failure is not None
    error = found.failure.error
    assert isinstance(error, Livelock)
    assert error.busy[0].startswith("spin#1 at test_explore_threads.py:")


@pytest.mark.parametrize("grain", ["gil", "opcode"])
def test_a_thread_that_spins_lets_time_pass(grain: str) -> None:
    def scenario() -> None:
        late = threading.Thread(target=time.sleep, args=(60,))
        late.start()
        while late.is_alive():
            pass

    replay_threads(scenario, "base", grain=grain).check()  # type: ignore[arg-type]


@pytest.mark.parametrize("grain", ["gil", "opcode"])
def test_a_thread_that_swallows_its_end_is_ended(grain: str) -> None:
    refused: list[int] = []

    def stubborn(items: queue.Queue[int]) -> None:
        while True:
            try:
                items.get()
            except BaseException:  # noqa: BLE001, ASYNC103 - what is tested
                refused.append(1)

    def scenario() -> None:
        threading.Thread(target=stubborn, args=(queue.Queue(),)).start()
        time.sleep(1)
        raise OSError("mine")

    with pytest.raises(OSError, match="mine"):
        replay_threads(scenario, "base", grain=grain).check()  # type: ignore[arg-type]


def test_daemons_do_not_keep_a_run_from_its_end() -> None:
    def scenario() -> None:
        threading.Thread(target=threading.Event().wait, daemon=True).start()

    explore_threads(scenario).check()


def test_a_daemon_may_explore() -> None:
    found: list[bool] = []

    def scenario() -> None:
        threading.Event().wait()

    def explorer() -> None:
        found.append(explore_threads(scenario, bound=0).ok)

    caller = threading.Thread(target=explorer, daemon=True)
    caller.start()
    caller.join()
    assert found == [False]


def test_a_thread_that_outlives_main_counts() -> None:
    def scenario() -> None:
        threading.Thread(target=threading.Event().wait).start()

    with pytest.raises(Deadlock, match=r"waits in Event\.wait"):
        explore_threads(scenario).check()


@pytest.mark.parametrize("grain", ["gil", "opcode"])
def test_idle_workers_of_an_executor_are_no_deadlock(
    grain: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    kept: list[ThreadPoolExecutor] = []

    def scenario() -> None:
        kept.append(ThreadPoolExecutor(2))
        kept[-1].submit(int)
        assert kept[-1].submit(int).result() == 0

    explore_threads(scenario, grain=grain, bound=1).check()  # type: ignore[arg-type]
    assert caplog.text == ""
    assert capfd.readouterr().err == ""


def test_a_worker_that_is_busy_for_ever_is_a_deadlock(caplog: pytest.LogCaptureFixture) -> None:
    kept: list[ThreadPoolExecutor] = []

    def wait() -> None:
        threading.Event().wait()

    def scenario() -> None:
        kept.append(ThreadPoolExecutor(2))
        kept[-1].submit(wait)
        kept[-1].submit(int)

    with pytest.raises(Deadlock, match=r"waits in Event\.wait\(\)") as caught:
        explore_threads(scenario, bound=0).check()
    assert "primitives.py" not in str(caught.value)
    assert caplog.text == ""


def test_idle_workers_and_daemons_do_not_keep_a_run_from_its_end() -> None:
    kept: list[ThreadPoolExecutor] = []

    def tick() -> None:
        while True:
            time.sleep(1)

    def scenario() -> None:
        threading.Thread(target=tick, daemon=True).start()
        kept.append(ThreadPoolExecutor(1))
        kept[-1].submit(int)

    explore_threads(scenario, bound=1).check()


def test_a_worker_logs_what_is_not_the_explorers() -> None:
    records: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = records.append  # type: ignore[method-assign, assignment]

    def fail() -> None:
        raise OSError("mine")

    def scenario() -> None:
        with ThreadPoolExecutor(1, initializer=fail) as pool, suppress(BrokenExecutor):
            pool.submit(int).result()

    logger = logging.getLogger("concurrent.futures")
    filters = list(logger.filters)
    logger.addHandler(handler)
    try:
        explore_threads(scenario, bound=0).check()
    finally:
        logger.removeHandler(handler)
    assert [record.getMessage() for record in records] == ["Exception in initializer:"]
    assert logger.filters == filters


_made_before = threading.Lock()


def test_a_lock_in_a_modules_variable_is_controlled_for_as_long() -> None:
    real = _made_before

    def scenario() -> None:
        def use() -> None:
            with _made_before:
                assert _made_before is not real

        together(use, use)

    explore_threads(scenario).check()
    assert _made_before is real


@dataclass
class _WithFactory:
    count: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def use(self) -> None:
        with self.lock:
            self.count += 1


class _WithClassAttribute:
    lock, alias = threading.Lock(), None
    again = threading.RLock()

    class Inner:
        lock = threading.Lock()

    def use(self) -> None:
        with self.lock, self.Inner.lock, self.again, self.again:
            assert self.alias is self.lock


_WithClassAttribute.alias = _WithClassAttribute.lock  # type: ignore[assignment]


def _synchronized(function: Callable[[], None]) -> Callable[[], None]:
    lock = threading.Lock()

    @wraps(function)
    def locked() -> None:
        with lock:
            function()

    return locked


@_synchronized
def _use_closure() -> None:
    """Be run under a lock that a decorator made."""


_instance = _WithFactory()


def _made_where(name: str) -> tuple[Callable[[], None], Callable[[], object]]:
    """Return how a lock that was made before is used, and what must be as before afterwards."""
    return {
        "factory": (lambda: _WithFactory().use(), lambda: _factory()),
        "class": (lambda: _WithClassAttribute().use(), lambda: dict(vars(_WithClassAttribute))),
        "closure": (_use_closure, lambda: _cells(_use_closure)),
        "instance": (_instance.use, lambda: _instance.lock),
    }[name]


def _factory() -> object:
    return (
        _WithFactory.__dataclass_fields__["lock"].default_factory,
        _cells(_WithFactory.__init__),
        type(_WithFactory().lock),
    )


def _cells(function: object) -> list[object]:
    return [cell.cell_contents for cell in getattr(function, "__closure__", None) or ()]


@pytest.mark.parametrize("grain", ["gil", "opcode"])
@pytest.mark.parametrize("name", ["factory", "class", "closure", "instance"])
def test_a_lock_that_a_module_holds_deeper_is_controlled_too(
    name: str, grain: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "STALL", 0.2)
    use, state = _made_where(name)
    before = state()
    if name == "factory":

        def scenario() -> None:
            one = _WithFactory()
            together(one.use, one.use)
            assert one.count == 2
    else:

        def scenario() -> None:
            together(use, use)

    found = explore_threads(scenario, grain=grain, bound=1).check()  # type: ignore[arg-type]
    assert found.schedules > 2
    assert state() == before


class _Formatter(logging.Formatter):
    """Has points in its middle, while the handler's lock is held."""

    def format(self, record: logging.LogRecord) -> str:
        time.sleep(1)
        return super().format(record)


@pytest.mark.parametrize("grain", ["gil", "opcode"])
def test_locks_of_logging_are_controlled(grain: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "STALL", 0.2)
    stream = StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_Formatter())
    logger = logging.getLogger("aconcur.test")
    logger.addHandler(handler)
    lock = handler.lock

    def scenario() -> None:
        together(partial(logger.warning, "first"), partial(logger.warning, "second"))

    try:
        found = explore_threads(scenario, grain=grain, bound=1).check()  # type: ignore[arg-type]
        assert handler.lock is lock
        logger.warning("outside")
    finally:
        logger.removeHandler(handler)
    lines = stream.getvalue().splitlines()
    assert lines.count("first") == lines.count("second") == found.schedules
    assert lines[-1] == "outside"


class _Holder:
    def __init__(self) -> None:
        self.lock = threading.Lock()


def test_a_lock_made_before_is_named_where_it_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "STALL", 0.2)
    holder = _Holder()

    def use() -> None:
        with holder.lock:
            time.sleep(1)

    with pytest.raises(
        UncontrolledWaitError,
        match=r"use#2 made no step for 0.2 s at test_exp.*: it waits for 'holder.lock', a real",
    ):
        explore_threads(partial(together, use, use), files=(__file__,))
    assert not holder.lock.locked()


class _Kept:
    make = staticmethod(partial(threading.Lock))

    def __init__(self) -> None:
        self.lock = self.make()

    def use(self) -> None:
        with self.lock:
            time.sleep(1)


_condition = threading.Condition()


def _use_condition() -> None:
    with _condition:
        time.sleep(1)


@pytest.mark.parametrize(("name", "on"), [("kept", "self.lock"), ("condition", "_condition")])
def test_a_real_lock_is_named_with_the_right_advice(
    name: str, on: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "STALL", 0.2)

    def scenario() -> None:
        use = _Kept().use if name == "kept" else _use_condition
        together(use, use)

    with pytest.raises(UncontrolledWaitError, match=r"or by a Lock that was kept") as caught:
        explore_threads(scenario, bound=0)
    assert caught.value.on == on


def test_all_is_put_back() -> None:
    def state() -> list[object]:
        return [
            threading.Lock,
            threading.RLock,
            threading.excepthook,
            *(vars(threading.Thread)[name] for name in ("start", "join", "is_alive", "ident")),
            vars(threading)["_allocate_lock"],
            vars(threading)["_time"],
            queue.SimpleQueue,
            vars(queue)["time"],
            time.sleep,
            time.monotonic,
            sys.gettrace(),
            gc.isenabled(),
            threading.enumerate(),
            threading.current_thread(),
        ]

    def broken() -> None:
        assert time.sleep is not sleep
        raise OSError

    sleep, before = time.sleep, state()
    tools = [_tool(number) for number in range(6)]
    assert not explore_threads(broken).ok
    assert state() == before
    assert [_tool(number) for number in range(6)] == tools


def _tool(number: int) -> str | None:
    if sys.version_info < (3, 12):
        return None
    return sys.monitoring.get_tool(number)


def test_another_thread_of_the_process_is_left_alone() -> None:
    told: list[type] = []
    begun: list[int] = []
    real_lock, real_sleep = threading.Lock, time.sleep

    def outsider() -> None:
        while not begun:
            real_sleep(0.001)
        told.append(type(threading.Lock()))

    other = threading.Thread(target=outsider)
    other.start()

    def scenario() -> None:
        begun.append(1)
        while not told:
            real_sleep(0.001)
        assert not isinstance(threading.Lock(), told[0])

    explore_threads(scenario).check()
    other.join()
    assert told == [type(real_lock())]


def test_an_interrupt_ends_all_threads() -> None:
    def scenario() -> None:
        threading.Thread(target=threading.Event().wait).start()
        main = threading.main_thread().ident
        assert main is not None
        signal.pthread_kill(main, signal.SIGINT)
        for _ in range(1_000):
            time.sleep(1)

    with pytest.raises(KeyboardInterrupt):
        explore_threads(scenario, bound=0)
    explore_threads(thread_bugs.single_close, bound=0).check()


def test_explorations_do_not_nest() -> None:
    def scenario() -> None:
        explore_threads(thread_bugs.lost_update)

    with pytest.raises(RuntimeError, match="runs already: a process can have one at a time"):
        explore_threads(scenario).check()
    explore_threads(thread_bugs.single_close).check()


def test_what_depends_on_more_than_its_schedule_is_told() -> None:
    calls: list[int] = []

    def scenario() -> None:
        calls.append(1)
        together(*[list] * len(calls))

    with pytest.raises(NotReproducibleError):
        explore_threads(scenario)


def test_only_the_files_asked_for_have_points_inside() -> None:
    assert explore_threads(thread_bugs.lost_update, grain="opcode", files=("other.py",)).ok
    for files in (("thread_bugs.py",), (thread_bugs,)):
        assert not explore_threads(thread_bugs.lost_update, grain="opcode", files=files).ok


class _Scenario:
    def __call__(self) -> None:
        thread_bugs.lost_update()

    def method(self) -> None:
        self()


@pytest.mark.parametrize("scenario", [_Scenario(), _Scenario().method, partial(_Scenario())])
def test_a_scenario_can_be_any_callable_in_python(scenario: Scenario) -> None:
    assert explore_threads(scenario, grain="opcode").ok  # the fault is in another file


def test_a_gil_is_not_assumed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: False, raising=False)
    with pytest.raises(ValueError, match="grain must be 'opcode' where no GIL is"):
        explore_threads(thread_bugs.lost_update)


async def _coroutine() -> None:
    """Be no scenario."""


def _generator() -> Iterator[None]:
    raise AssertionError
    yield


async def _async_generator() -> AsyncIterator[None]:
    raise AssertionError
    yield


def _with_parameters(first: int, /, second: int, *, third: int, fourth: int = 0) -> None:
    """Need three."""


class _AsyncScenario:
    async def __call__(self) -> None:
        raise AssertionError


@pytest.mark.parametrize(
    ("scenario", "remedy"),
    [
        (_coroutine, "use explore() for async functions"),
        (partial(_coroutine), "use explore() for async functions"),
        (_AsyncScenario(), "use explore() for async functions"),
        (_async_generator, "use explore() for async functions"),
        (_generator, "a call of a generator function runs none of it"),
        (lambda: _coroutine(), "returned a coroutine, .* use explore() for async functions"),
        (lambda: _async_generator(), "returned an async generator, .* use explore()"),
        (lambda: _generator(), "returned a generator, .* use explore()"),
        (_with_parameters, "takes arguments: first, second, third; give"),
        (partial(print, sep=""), "files= must be given"),
    ],
)
def test_what_would_never_run_is_refused(scenario: Scenario, remedy: str) -> None:
    pattern = remedy.replace("()", r"\(\)")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(TypeError, match=pattern):
            explore_threads(scenario)
        with pytest.raises(TypeError, match=pattern):
            replay_threads(scenario, "base")
    explore_threads(thread_bugs.single_close, bound=0).check()


def test_wrong_arguments_are_told() -> None:
    with pytest.raises(TypeError, match="plain function without arguments, not <function _co"):
        explore_threads(_coroutine)
    with pytest.raises(TypeError, match=r"files= must be given, not <built-in"):
        explore_threads(print)
    with pytest.raises(ValueError, match="grain must be 'gil' or 'opcode', not 'line'"):
        explore_threads(thread_bugs.lost_update, grain="line")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"files must be a tuple .*, not 'a.py'"):
        explore_threads(thread_bugs.lost_update, files="a.py")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="modules with a source file, not 'sys'"):
        explore_threads(thread_bugs.lost_update, files=(sys,))
    with pytest.raises(ValueError, match="bound must be at least 0, not -1"):
        explore_threads(thread_bugs.lost_update, bound=-1)
    with pytest.raises(ValueError, match="token must be 'base'"):
        replay_threads(thread_bugs.lost_update, "x")
    with pytest.raises(NotReproducibleError):
        replay_threads(thread_bugs.lost_update, "999=1")
