"""Marks for pytest: ``explore`` and ``cancel_everywhere`` on async tests.

A marked test is a scenario: it runs once for each schedule, or for each moment of cancelling, on
asyncio and on trio where that is installed. What it raises is shown as pytest shows it always, with
the schedule below. Fixtures are made once, before the first run: a scenario makes by itself what it
changes. The options of a mark are those of :func:`aconcur.testing.explore` and
:func:`aconcur.testing.cancel_everywhere`, by name; ``backend=`` leaves out the other back-ends. A
test with both marks is explored and then cancelled::

    @pytest.mark.explore(bound=3)
    async def test_two_withdrawals() -> None: ...

Found by pytest through its entry point; nothing has to be imported.
"""

from __future__ import annotations

__all__ = ()

import threading
from collections.abc import Callable, Coroutine, Generator
from functools import partial, wraps
from importlib.util import find_spec
from inspect import iscoroutinefunction
from typing import Any, TypeAlias

import pytest

Scenario: TypeAlias = Callable[..., Coroutine[Any, Any, object]]
MARKS = ("explore", "cancel_everywhere")

# As anyio's plugin wants to be told of a back-end, which may have to run async fixtures on it.
_PARAMETERS: dict[str, object] = {
    "asyncio": "asyncio",
    "trio": "trio",
    "uvloop": ("asyncio", {"use_uvloop": True}),
}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--explore-replay``."""
    parser.getgroup("aconcur").addoption(
        "--explore-replay",
        metavar="TOKEN",
        help="run only the schedule that a failure printed, in tests marked explore",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the marks."""
    for mark, what in (
        ("explore", "run an async test under every order of wake-ups within a bound"),
        ("cancel_everywhere", "cancel an async test at each of its steps"),
    ):
        line = f"{mark}(**options): {what}, with the options of aconcur.testing.{mark}"
        config.addinivalue_line("markers", line)


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makeitem(collector: pytest.Collector, name: str, obj: object) -> None:
    """Let anyio's plugin name the back-end, and refuse a mark on what is no async test."""
    if not isinstance(collector, pytest.Module | pytest.Class) or not collector.istestfunction(
        obj, name
    ):
        return
    marks = {mark.name for mark in getattr(obj, "pytestmark", ())} & set(MARKS)
    marks |= {mark for mark in MARKS if collector.get_closest_marker(mark)}
    if not marks:
        return
    if not iscoroutinefunction(_inner(obj)):
        raise pytest.UsageError(
            f"{name}: @pytest.mark.{min(marks)} needs an async test, and this one is not"
        )
    pytest.mark.usefixtures("anyio_backend")(obj)


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a marked test on each back-end: asyncio, and trio where it is installed."""
    wanted = {name for mark in _marks(metafunc.definition) for name in _backends(mark)}
    if wanted:
        backends = [
            pytest.param(parameter, id=name)
            for name, parameter in _PARAMETERS.items()
            if name in wanted
        ]
        # A mark takes precedence over the parameters of the fixture.
        metafunc.definition.add_marker(pytest.mark.parametrize("anyio_backend", backends))


def _marks(item: pytest.Item) -> list[pytest.Mark]:
    return list(filter(None, map(item.get_closest_marker, MARKS)))


def _backends(mark: pytest.Mark) -> list[str]:
    """Return what a mark asks to be run on."""
    if mark.args:
        given = ", ".join(map(repr, mark.args))
        raise pytest.UsageError(
            f"@pytest.mark.{mark.name} takes its options by name, like "
            f"{'bound=3' if mark.name == 'explore' else 'twice=False'}, not {given}"
        )
    if "backend" not in mark.kwargs:
        return ["asyncio", "trio"] if find_spec("trio") else ["asyncio"]
    backend = mark.kwargs["backend"]
    known = [name for name in _PARAMETERS if mark.name != "explore" or name != "uvloop"]
    if backend not in known:
        raise pytest.UsageError(
            f"@pytest.mark.{mark.name}: backend must be one of {', '.join(known)}, not {backend!r}"
        )
    return [backend]


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Call a marked test many times instead of once."""
    marks = _marks(pyfuncitem)
    if not marks:
        return (yield)
    parameter = pyfuncitem.funcargs["anyio_backend"]
    backend = next((name for name, one in _PARAMETERS.items() if one == parameter), str(parameter))
    obj = pyfuncitem.obj
    given = getattr(obj, "hypothesis", None)
    inner = _inner(obj)
    marks = [mark for mark in marks if backend in _backends(mark)]
    stand_in = _stand_in(inner, backend, marks, pyfuncitem)
    if given is not None:
        given.inner_test = stand_in
    else:
        pyfuncitem.obj = stand_in
    try:
        return (yield)
    finally:
        if given is not None:
            given.inner_test = inner
        else:
            pyfuncitem.obj = obj


def _inner(obj: Any) -> Scenario:
    """Return the test itself, where Hypothesis has wrapped it."""
    given = getattr(obj, "hypothesis", None)
    test: Scenario = obj if given is None else given.inner_test
    return test


def _stand_in(
    scenario: Scenario, backend: str, marks: list[pytest.Mark], item: pytest.Function
) -> Callable[..., None]:
    @wraps(scenario)
    def test(*args: Any, **fixtures: Any) -> None:
        __tracebackhide__ = True
        for mark in marks:
            run = _explore if mark.name == "explore" else _cancel_everywhere
            _in_a_thread(run, partial(scenario, *args, **fixtures), backend, mark, item)

    # Or whoever looks through the wrapper finds the async function again.
    del test.__wrapped__
    return test


def _in_a_thread(fn: Callable[..., None], *args: object) -> None:
    """Call in a thread of its own: async fixtures have a loop of anyio's plugin in this one."""
    __tracebackhide__ = True
    errors: list[BaseException] = []

    def call() -> None:
        try:
            fn(*args)
        except BaseException as error:  # noqa: BLE001, ASYNC103 - raised in the other thread
            errors.append(error)

    thread = threading.Thread(target=call, name=fn.__name__, daemon=True)
    thread.start()
    thread.join()
    if errors:
        raise errors.pop()


def _explore(scenario: Scenario, backend: Any, mark: pytest.Mark, item: pytest.Function) -> None:
    from aconcur.testing import explore, replay

    __tracebackhide__ = True
    token = item.config.getoption("--explore-replay")
    if token is not None:
        result = replay(scenario, token, backend=backend)
    else:
        result = explore(scenario, **{**mark.kwargs, "backend": backend})
    item.user_properties.append(("schedules", result.schedules))
    result.check()


def _cancel_everywhere(
    scenario: Scenario, backend: Any, mark: pytest.Mark, item: pytest.Function
) -> None:
    from aconcur.testing import cancel_everywhere

    __tracebackhide__ = True
    result = cancel_everywhere(scenario, **{**mark.kwargs, "backend": backend})
    item.user_properties.append(("cancels", result.cancels))
    result.check()
