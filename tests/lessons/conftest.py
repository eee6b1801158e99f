"""One specification for every version of a lesson.

A test module names its lesson in ``LESSON``. A test marked ``entry("run")`` asks for ``call`` and
runs once for every version file that defines ``run``: an original on asyncio's loop only (it does
not use it), a rebuilt version on asyncio and uvloop, a toolkit version on trio too. ``entry`` takes
several names where the versions have several functions of one meaning. ``asyncio_only`` is for
tests of what only a rebuilt version has.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Awaitable, Callable, Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from aconcur import lessons
from tests.support.backends import BACKENDS

Call: TypeAlias = Callable[..., Awaitable[Any]]
ROOT = Path(lessons.__file__).parent
LOOPS = {"original": ["asyncio"], "rebuilt": ["asyncio", "uvloop"], "toolkit": list(BACKENDS)}


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "entry(*names): run for every version that defines one")
    config.addinivalue_line("markers", "asyncio_only: run on asyncio and uvloop")


@cache
def _defined(file: Path) -> set[str]:
    body = ast.parse(file.read_text(encoding="utf-8")).body
    return {name for node in body if (name := getattr(node, "name", None))}


def _entries(lesson: str, names: tuple[str, ...]) -> Iterator[tuple[str, str, str]]:
    """Yield (version, name, loop) for every version file that defines one of the names."""
    for file in sorted((ROOT / lesson).glob("*.py")):
        kind = file.stem.partition("_")[0]
        if kind in LOOPS:
            for name in names:
                if name in _defined(file):
                    yield from ((file.stem, name, loop) for loop in LOOPS[kind])


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    # A parametrize *mark* takes precedence over the parameters of the anyio_backend fixture.
    if mark := metafunc.definition.get_closest_marker("entry"):
        lesson = metafunc.module.LESSON
        found = list(_entries(lesson, mark.args))
        assert found, f"no version of {lesson} defines any of {mark.args}"
        several = pytest.mark.parametrize(
            ("call", "anyio_backend"),
            [((lesson, file, name), BACKENDS[loop]) for file, name, loop in found],
            ids=["-".join(one) for one in found],
            indirect=True,
        )
    elif metafunc.definition.get_closest_marker("asyncio_only"):
        loops = LOOPS["rebuilt"]
        several = pytest.mark.parametrize(
            "anyio_backend", [BACKENDS[loop] for loop in loops], ids=loops, indirect=True
        )
    else:
        return
    metafunc.definition.add_marker(several)


@pytest.fixture
def call(request: pytest.FixtureRequest) -> Call:
    """Call one version's entry, whether it is a coroutine function or a plain one."""
    lesson, file, name = request.param
    entry = getattr(import_module(f"aconcur.lessons.{lesson}.{file}"), name)

    async def answer(*args: Any, **options: Any) -> Any:  # noqa: ANN401 - any entry's answer
        result = entry(*args, **options)
        return await result if inspect.isawaitable(result) else result

    return answer
