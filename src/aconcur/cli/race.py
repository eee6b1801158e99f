"""``aconcur race``: show the order of wake-ups that breaks a scenario."""

from __future__ import annotations

__all__ = ("add_arguments", "run")

import argparse
import importlib.util
import sys
import traceback
from collections.abc import Callable
from functools import partial
from inspect import iscoroutinefunction, isfunction
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias

from aconcur.cli.command_line import UsageError
from aconcur.cli.output import page_width
from aconcur.testing import Exploration, explore, explore_threads, replay, replay_threads

Scenario: TypeAlias = Callable[[], object]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command and its options."""
    parser.description = (
        "Run a function without arguments under every order of steps within a bound, and show the "
        "first order that fails, line by line. An async function is explored as tasks, a plain one "
        "as threads. Without FILE::FUNCTION: the lost update of item 38, with and without a lock."
    )
    add = parser.add_argument
    add("scenario", nargs="?", metavar="FILE::FUNCTION", help="the function: bank.py::transfer")
    add("--backend", choices=("asyncio", "trio"), default="asyncio", help="default: asyncio")
    add(
        "--grain",
        choices=("gil", "opcode"),
        default="gil",
        help="where threads are interrupted: where this CPython does it (default), or wherever "
        "the language allows it",
    )
    add(
        "--bound",
        type=int,
        help="most deviations from the base order (default: 2 for threads; for tasks 0, 1, 2 and "
        "so on, as far as a second allows)",
    )
    add(
        "--timers",
        choices=("timeouts", "explore", "idle"),
        default="timeouts",
        help="which timers may fire while a task could go on: time limits and call_later (the "
        "default), all (sleeps too), or none",
    )
    add("--schedules", type=int, default=20_000, help="most schedules to run (default: 20000)")
    add("--replay", metavar="TOKEN", help="run only the schedule whose token a failure printed")


def run(chosen: argparse.Namespace) -> None:
    """Run the command."""
    if chosen.scenario is None:
        if chosen.replay is not None:
            raise UsageError("--replay needs the FILE::FUNCTION that the token came from")
        _show_lesson()
        return
    scenario, file = _load(chosen.scenario)
    try:
        found = _run(scenario, file, chosen)
    except (TypeError, ValueError) as error:  # the scenario's own errors are part of the result
        raise UsageError(str(error)) from None
    _print(found)
    if not found.ok:
        sys.stdout.flush()
        sys.exit(1)


def _run(scenario: Scenario, file: str, chosen: argparse.Namespace) -> Exploration:
    """Explore or replay, with tasks or with threads, as the function is async or not."""
    limits = {"schedules": chosen.schedules}
    if chosen.bound is not None:
        limits["bound"] = chosen.bound
    if iscoroutinefunction(scenario):
        if chosen.replay is not None:
            return replay(scenario, chosen.replay, backend=chosen.backend)
        return explore(scenario, backend=chosen.backend, timers=chosen.timers, **limits)
    where: dict[str, Any] = {"grain": chosen.grain, "files": (file,)}
    if chosen.replay is not None:
        return replay_threads(scenario, chosen.replay, **where)
    return explore_threads(scenario, **where, **limits)


def _show_lesson() -> None:
    from aconcur.lessons.item38_lock import original, race

    print("Item 38: two workers add 1 to one counter.")
    _title("tasks, an await in the middle, no lock")
    _print(explore(race.tasks_without_lock))
    _title("tasks, with an asyncio.Lock")
    _print(explore(race.tasks_with_lock))
    anywhere = partial(explore_threads, grain="opcode", files=(original,))
    by_the_gil = partial(explore_threads, grain="gil", files=(original,))
    _title("threads, no lock, interrupted wherever the language allows")
    _print(anywhere(race.threads_without_lock))
    _title("threads, no lock, interrupted only where this CPython does")
    _print(by_the_gil(race.threads_without_lock))
    _title("the same, but count is a property")
    _print(by_the_gil(race.threads_checked))
    _title("threads, with a threading.Lock, interrupted wherever the language allows")
    _print(anywhere(race.threads_with_lock))


def _title(text: str) -> None:
    print(f"\n{text[0].upper()}{text[1:]}:")


def _print(found: Exploration) -> None:
    print(found.summary())
    if found.failure is not None:
        error = found.failure.error
        print(f"{type(error).__name__}: {error}".rstrip(": "))
        print(found.failure.how(page_width()))


def _load(text: str) -> tuple[Scenario, str]:
    """Return the function that ``FILE::FUNCTION`` names, and the file."""
    file, separator, name = text.partition("::")
    if not (file and separator and name):
        raise UsageError(f"scenario must be FILE::FUNCTION, like bank.py::transfer, not {text!r}")
    path = Path(file)
    if not path.is_file():
        raise UsageError(f"{file} is not a file")
    module = _import(path)
    functions = {
        name: value
        for name, value in vars(module).items()
        if isfunction(value) and value.__module__ == module.__name__
    }
    if name not in functions:
        others = f"it has: {', '.join(functions)}" if functions else "it has none"
        raise UsageError(f"{file} has no function {name!r}; {others}")
    return functions[name], str(path.resolve())


def _import(path: Path) -> ModuleType:
    # Under its own name, a user's threading.py would take the place of the standard library's.
    name = f"_aconcur_race_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    sys.path.insert(0, str(path.parent.resolve()))
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        said = f"{type(error).__name__}: {error}".rstrip(": ")
        raise UsageError(
            f"{path} cannot be imported: {said}{_place(error, spec.origin)}"
        ) from error
    return module


def _place(error: BaseException, file: str | None) -> str:
    """Return the line of the file that an error came from; a syntax error names it by itself."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == file]
    return f", at {file}:{lines[-1]}" if lines else ""
