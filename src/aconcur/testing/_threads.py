"""Run a scenario of plain threads under many schedules, and one again."""

from __future__ import annotations

__all__ = ("Grain", "explore_threads", "replay_threads")

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from inspect import iscoroutinefunction
from pathlib import Path
from types import CodeType, ModuleType
from typing import Final, Literal, TypeAlias

from aconcur.testing._choices import Choices, read_token
from aconcur.testing._exploration import Exploration
from aconcur.testing._explore import Driver, Strategy, replay_one, search
from aconcur.testing._frames import is_standard
from aconcur.testing._thread_engine import Engine, Scenario, engine_here
from aconcur.testing._thread_patches import forget, patched
from aconcur.testing._thread_points import watcher_for
from aconcur.testing._timeline import Recorder

Grain: TypeAlias = Literal["gil", "opcode"]
Files: TypeAlias = tuple[str | ModuleType, ...]

_HERE: Final = str(Path(__file__).parent)


def explore_threads(
    scenario: Scenario,
    *,
    grain: Grain = "gil",
    files: Files | None = None,
    strategy: Strategy = "bounded",
    bound: int = 2,
    schedules: int = 20_000,
    seed: int = 0,
    depth: int = 3,
    max_steps: int = 20_000,
    keep_going: bool = False,
) -> Exploration:
    """Run a scenario under every order of its threads within a bound, and report what fails."""
    with _driver(scenario, grain, files) as driver:
        return search(
            driver,
            backend="threads",
            strategy=strategy,
            bound=bound,
            schedules=schedules,
            seed=seed,
            depth=depth,
            max_steps=max_steps,
            keep_going=keep_going,
        )


def replay_threads(
    scenario: Scenario,
    token: str,
    *,
    grain: Grain = "gil",
    files: Files | None = None,
    max_steps: int = 20_000,
) -> Exploration:
    """Run the one schedule that a token names."""
    forced = read_token(token)
    with _driver(scenario, grain, files) as driver:
        return replay_one(driver, forced, backend="threads", max_steps=max_steps)


@contextmanager
def _driver(scenario: Scenario, grain: str, files: Files | None) -> Iterator[Driver]:
    """Yield what runs the scenario once, watched and with its primitives controlled."""
    if grain not in ("gil", "opcode"):
        raise ValueError(f"grain must be 'gil' or 'opcode', not {grain!r}")
    engine = Engine(scenario, grain, _kinds(_suffixes(scenario, files)))
    if engine_here() is not None or _busy:
        raise RuntimeError(
            "an exploration of threads runs already: a process can have one at a time, so call "
            "explore_threads() neither from a scenario nor from two threads"
        )
    _busy.append(engine)
    enabled = gc.isenabled()
    gc.disable()
    try:
        with watcher_for(engine), patched(engine) as renew:

            def run(choices: Choices, recorder: Recorder | None = None, /) -> BaseException | None:
                renew()
                try:
                    return engine.run(choices, recorder)
                finally:
                    forget(engine)

            yield run
    finally:
        _busy.clear()
        if enabled:
            gc.enable()


_busy: list[Engine] = []


def _suffixes(scenario: Scenario, files: Files | None) -> tuple[str, ...]:
    """Return how the names of the traced files end."""
    if iscoroutinefunction(scenario) or not callable(scenario):
        raise TypeError(f"scenario must be a plain function without arguments, not {scenario!r}")
    if files is None:
        return (_code_of(scenario).co_filename,)
    if isinstance(files, str) or not files:
        raise ValueError(f"files must be a tuple of path suffixes or modules, not {files!r}")
    return tuple(map(_suffix, files))


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
    if filename.startswith(_HERE):
        return "ours"
    if filename.endswith(suffixes):
        return "traced"
    return "library" if is_standard(filename) else "other"
