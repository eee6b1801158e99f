"""Run a scenario of plain threads under many schedules, and one again."""

from __future__ import annotations

__all__ = ("Grain", "explore_threads", "replay_threads")

import _thread
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction
from types import CodeType, ModuleType
from typing import Final, Literal, TypeAlias

from aconcur.testing._arguments import refuse_arguments
from aconcur.testing._explore.api import Driver, Strategy, replay_one, search
from aconcur.testing._explore.report import Exploration
from aconcur.testing._explore.schedule import Schedule, read_token
from aconcur.testing._explore.trace import Recorder
from aconcur.testing._explore_threads.bytecode import changing_names
from aconcur.testing._explore_threads.engine import Engine, Scenario, engine_here
from aconcur.testing._explore_threads.instrumentation import watcher_for
from aconcur.testing._explore_threads.patching import forget, patched
from aconcur.testing._frames import HERE, is_standard
from aconcur.testing._isolation import no_collections
from aconcur.testing._virtual_time import virtual_time

Grain: TypeAlias = Literal["gil", "opcode"]
Files: TypeAlias = tuple[str | ModuleType, ...]

# Seconds. A guess: a thread that has nothing left to do needs some µs.
_LEAVING: Final = 0.1


def explore_threads(
    scenario: Scenario,
    *,
    grain: Grain = "gil",
    files: Files | None = None,
    strategy: Strategy = "bounded",
    bound: int = 2,
    schedules: int = 20_000,
    seconds: float | None = None,
    seed: int = 0,
    depth: int = 3,
    max_steps: int = 20_000,
    keep_going: bool = False,
) -> Exploration:
    """Run a scenario under every order of its threads within a bound, and report what fails.

    At ``grain="gil"``, the default, the textbook deadlock of two locks (ABBA) and ``count += 1``
    may pass, for this CPython does not switch between their steps unless something is called
    there: ``grain="opcode"`` finds them. Code is interrupted in ``files`` alone, by default the
    scenario's own file: name the others.

    A scenario is a plain function without arguments that makes all it uses, lets threads run
    against each other, and raises if something is wrong. It runs once for each schedule, from the
    start, one thread at a time. It fails if a thread raises, if threads wait for each other for
    ever (:exc:`Deadlock`) or do not end (:exc:`Livelock`)::

        def two_increments():
            counter = Counter()
            threads = [Thread(target=counter.increment) for _ in range(2)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert counter.count == 2

        explore_threads(two_increments).check()

    **Where a switch may happen.** At ``grain="gil"`` only where the CPython that runs this looks
    whether to hand the GIL over: as a function in Python starts, behind a call of one in C, and at
    the end of a loop's body (3.11 to 3.13: ``CHECK_EVAL_BREAKER`` in Python/ceval.c and
    Python/bytecodes.c). What fails here can fail on this interpreter; what passes may rest on what
    the language does not promise: ``count += 1`` passes, and loses updates once ``count`` is a
    property. At ``grain="opcode"`` before every instruction that other threads can notice: true
    for the language, for builds without a GIL and for Python up to 3.9. Code is interrupted inside
    the traced ``files`` alone; all other code runs as one step from one controlled operation to
    the next.

    **What is left out loses nothing.** No switch is tried before an instruction that touches only
    its own frame, nor before one that reads a variable which is bound once: to run it before or
    after what another thread does is the same. What changes a module's variables unseen (by
    ``globals()``, ``setattr`` or from a file that is not traced) is not known here.

    **What is controlled.** :mod:`threading`, :mod:`queue`, ``ThreadPoolExecutor``,
    :func:`time.sleep` and the clocks of :mod:`time` and
    :mod:`datetime`, for threads of the scenario alone and until
    the exploration ends. Time is virtual: it passes when no thread is ready. Locks that a user's
    module holds (in a variable, a class, a closure, or an attribute of an instance in a variable)
    and those of :mod:`logging` are replaced for as long; any other that was made before can only be
    told from a hang, after 5 s (:exc:`UncontrolledWaitError`). Idle workers of an executor that is
    not shut down end with the run, as they do when Python exits. Real input and output blocks all
    threads. An error in a thread is the schedule's, unless the scenario sets
    :data:`threading.excepthook`; non-daemon threads are waited for when the scenario returns.
    Threads that are left when a schedule fails are unwound by an exception that passes
    ``except Exception``; no thread is left when this function returns.

    **What a token is good for.** It counts the points at which more than one thread is ready, so
    it names the same schedule as long as the source, the grain and ``files`` are the same. Points
    are chosen such that 3.11, 3.12 and 3.13 agree on everyday code; where their instructions
    differ (``super()``, f-strings with ``!r``, comprehensions that call) a token of one may not
    fit another, which :exc:`NotReproducibleError` or another outcome shows.

    Args:
        scenario: the function.
        grain: where a switch may happen.
        files: which files are traced: ends of their paths, or modules; the scenario's own if None.
        strategy: how schedules are chosen, as in :func:`explore`.
        bound: the most deviations of a schedule, for ``"bounded"``.
        schedules: the most schedules to run.
        seconds: the most real seconds to search; None: no limit.
        seed: makes ``"random"`` and ``"pct"`` reproducible.
        depth: how many ordered events a bug needs, for ``"pct"``.
        max_steps: the most points of one run: more are a livelock.
        keep_going: go on after a failure, to count them.

    Returns:
        What was run and what failed. ``.check()`` raises the error.

    Raises:
        TypeError: the scenario is not a plain function, needs arguments, or returned a coroutine
            or generator, of which nothing ran.
        ValueError: a number is out of its range, or a name is none of those known.
        NotReproducibleError: the scenario does not depend on its schedule alone.
        UncontrolledWaitError: a thread waits for what no schedule decides.
        RuntimeError: another exploration of threads runs, or a thread that swallows
            ``BaseException`` cannot be ended, or all tools of :mod:`sys.monitoring` are taken.

    Cost: about 0.3 ms a schedule of two short threads from 3.12 on, where :mod:`sys.monitoring`
    reports only what is asked for; 0.4 to 0.7 ms on 3.11, where :func:`sys.settrace` reports all
    (``python -m benchmarks.costs_of_testing``). While it runs, no debugger or coverage tool sees
    these threads on 3.11.
    """
    with _driver(scenario, grain, files) as driver:
        found = search(
            driver,
            backend="threads",
            strategy=strategy,
            bound=bound,
            schedules=schedules,
            seconds=seconds,
            seed=seed,
            depth=depth,
            max_steps=max_steps,
            keep_going=keep_going,
        )
    return replace(found, grain=grain)


def replay_threads(
    scenario: Scenario,
    token: str,
    *,
    grain: Grain = "gil",
    files: Files | None = None,
    max_steps: int = 20_000,
) -> Exploration:
    """Run the one schedule that a token names.

    Args:
        scenario: the function that the token came from.
        token: what a failure printed: ``10=1``.
        grain: as in :func:`explore_threads`: a token of one grain means nothing at the other.
        files: as in :func:`explore_threads`, and as when the token was found.
        max_steps: as in :func:`explore_threads`.

    Raises:
        ValueError: the token cannot be read.
        NotReproducibleError: the scenario has no such schedule.
    """
    order, forced, _ = read_token(token)
    with _driver(scenario, grain, files) as driver:
        found = replay_one(
            driver, Schedule(forced, max_steps=max_steps, order=order), backend="threads"
        )
    return replace(found, grain=grain)


@contextmanager
def _driver(scenario: Scenario, grain: str, files: Files | None) -> Iterator[Driver]:
    """Yield what runs the scenario once, watched and with its primitives controlled."""
    if grain not in ("gil", "opcode"):
        raise ValueError(f"grain must be 'gil' or 'opcode', not {grain!r}")
    if grain == "gil" and not _has_gil():
        raise ValueError("grain must be 'opcode' where no GIL is, as in this interpreter")
    suffixes = _suffixes(scenario, files)
    engine = Engine(scenario, grain, _kinds(suffixes))
    if engine_here() is not None or _busy:
        raise RuntimeError(
            "an exploration of threads runs already: a process can have one at a time, so call "
            "explore_threads() neither from a scenario nor from two threads"
        )
    _busy.append(engine)
    threads = _thread._count()
    try:
        traced = _loaded(suffixes)
        engine.changing = frozenset().union(*(changing_names(file) or () for file in traced))
        with (
            no_collections(),
            watcher_for(engine),
            virtual_time(_virtual_now),
            patched(engine, traced) as renew,
        ):

            def run(
                schedule: Schedule, recorder: Recorder | None = None, /
            ) -> BaseException | None:
                renew()
                try:
                    return engine.run(schedule, recorder)
                finally:
                    forget(engine)

            yield run
    finally:
        _see_off(threads)
        _busy.clear()


_busy: list[Engine] = []


def _virtual_now() -> float | None:
    engine = engine_here()
    return None if engine is None else engine.now


def _see_off(threads: int) -> None:
    """Wait until the last OS thread has left the interpreter, which it has all but done."""
    end = time.monotonic() + _LEAVING
    while _thread._count() > threads and time.monotonic() < end:
        time.sleep(0.000_1)


def _has_gil() -> bool:
    enabled: Callable[[], bool] = getattr(sys, "_is_gil_enabled", lambda: True)
    return sys.implementation.name == "cpython" and enabled()


def _loaded(suffixes: tuple[str, ...]) -> frozenset[str]:
    """Return the files of loaded modules that are traced."""
    files = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
    return frozenset(file for file in files if file and file.endswith(suffixes))


def _suffixes(scenario: Scenario, files: Files | None) -> tuple[str, ...]:
    """Return how the names of the traced files end."""
    _refuse(scenario)
    if files is None:
        return (_code_of(scenario).co_filename,)
    if isinstance(files, str) or not files:
        raise ValueError(f"files must be a tuple of path suffixes or modules, not {files!r}")
    return tuple(map(_suffix, files))


def _refuse(scenario: object) -> None:
    """Refuse what a call would not run."""
    wrong = f"scenario must be a plain function without arguments, not {scenario!r}"
    if not callable(scenario):
        raise TypeError(wrong)
    for one in (scenario, type(scenario).__call__):
        if iscoroutinefunction(one) or isasyncgenfunction(one):
            raise TypeError(f"{wrong}: use explore() for async functions")
        if isgeneratorfunction(one):
            raise TypeError(f"{wrong}: a call of a generator function runs none of it")
    refuse_arguments(scenario)


def _suffix(file: str | ModuleType) -> str:
    if isinstance(file, ModuleType):
        filename = getattr(file, "__file__", None)
        if not isinstance(filename, str):
            raise ValueError(f"files must hold modules with a source file, not {file.__name__!r}")
        return filename
    return file


def _code_of(scenario: object) -> CodeType:
    while isinstance(scenario, partial):
        scenario = scenario.func
    one = getattr(scenario, "__func__", scenario)
    if not hasattr(one, "__code__"):
        one = getattr(type(scenario).__call__, "__func__", type(scenario).__call__)
    code: CodeType | None = getattr(one, "__code__", None)
    if code is None:
        raise TypeError(
            f"scenario must be a function in Python, or files= must be given, not {scenario!r}"
        )
    return code


def _kinds(suffixes: tuple[str, ...]) -> Callable[[CodeType], str]:
    """Return what says of code whether it is traced, ours, the library's or other."""
    known: dict[str, str] = {}

    def kind(code: CodeType) -> str:
        name = code.co_filename
        found = known.get(name)
        if found is None:
            found = known[name] = _kind(name, suffixes)
        return found

    return kind


def _kind(filename: str, suffixes: tuple[str, ...]) -> str:
    if filename.startswith(HERE):
        return "ours"
    if filename.endswith(suffixes):
        return "traced"
    return "library" if is_standard(filename) else "other"
