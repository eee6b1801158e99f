"""``aconcur race``: show the order of wake-ups that breaks a scenario."""

from __future__ import annotations

__all__ = ("run",)

import argparse
import importlib.util
import shutil
import sys
from collections.abc import Callable, Coroutine
from inspect import iscoroutinefunction
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias

from aconcur.cli.command import UsageError
from aconcur.testing import Exploration, explore, replay

Scenario: TypeAlias = Callable[[], Coroutine[Any, Any, object]]
PLAIN_WIDTH = 100


def run(chosen: argparse.Namespace) -> None:
    """Obey the command line."""
    if chosen.scenario is None:
        if chosen.replay:
            raise UsageError("--replay needs the FILE::FUNCTION that the token came from")
        _show_lesson()
        return
    scenario = _load(chosen.scenario)
    try:
        if chosen.replay:
            found = replay(scenario, chosen.replay, backend=chosen.backend)
        else:
            found = explore(
                scenario, backend=chosen.backend, bound=chosen.bound, schedules=chosen.schedules
            )
    except ValueError as error:
        raise UsageError(str(error)) from None
    _print(found)
    if not found.ok:
        sys.stdout.flush()
        sys.exit(1)


def _show_lesson() -> None:
    from aconcur.lessons.item38_lock import race

    print("Item 38: two tasks add 1 to one counter, and each awaits in the middle.\n")
    print("Without a lock:")
    _print(explore(race.without_lock))
    print("\nWith an asyncio.Lock:")
    _print(explore(race.with_lock))


def _print(found: Exploration) -> None:
    width = shutil.get_terminal_size((PLAIN_WIDTH, 24)).columns
    print(found.summary())
    if found.failure is not None:
        error = found.failure.error
        print(f"{type(error).__name__}: {error}".rstrip(": "))
        print(found.failure.how(width))


def _load(text: str) -> Scenario:
    """Return the function that ``FILE::FUNCTION`` names."""
    file, separator, name = text.partition("::")
    if not (file and separator and name):
        raise UsageError(f"scenario must be FILE::FUNCTION, like bank.py::transfer, not {text!r}")
    path = Path(file)
    if not path.is_file():
        raise UsageError(f"{file} is not a file")
    module = _import(path)
    function = getattr(module, name, None)
    if not iscoroutinefunction(function):
        known = [n for n, value in vars(module).items() if iscoroutinefunction(value)]
        raise UsageError(
            f"{file} has no async function {name!r}; it has: {', '.join(known) or 'none'}"
        )
    scenario: Scenario = function
    return scenario


def _import(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    sys.path.insert(0, str(path.parent.resolve()))
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise UsageError(f"{path} cannot be imported: {type(error).__name__}: {error}") from error
    return module
