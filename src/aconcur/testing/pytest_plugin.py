"""Marks for pytest: ``explore`` and ``cancel_everywhere`` on async tests.

A marked test is a scenario: it runs once for each schedule, or for each moment of cancelling, on
asyncio and on trio where that is installed. What it raises is shown as pytest shows it always, with
the schedule below. Fixtures are made once, before the first run: a scenario makes by itself what it
changes. The options of a mark are those of :func:`aconcur.testing.explore` and
:func:`aconcur.testing.cancel_everywhere`::

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
            f"{name}: @pytest.mark.{marks.pop()} needs an async test, and this one is not"
        )
    pytest.mark.usefixtures("anyio_backend")(obj)


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a marked test on each back-end: asyncio, and trio where it is installed."""
    if any(metafunc.definition.get_closest_marker(mark) for mark in MARKS):
        backends = ["asyncio", "trio"] if find_spec("trio") else ["asyncio"]
        # A mark takes precedence over the parameters of the fixture.
        metafunc.definition.add_marker(pytest.mark.parametrize("anyio_backend", backends))


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Call a marked test many times instead of once."""
    mark = next(filter(None, map(pyfuncitem.get_closest_marker, MARKS)), None)
    if mark is None:
        return (yield)
    run = _explore if mark.name == "explore" else _cancel_everywhere
    obj = pyfuncitem.obj
    backend = pyfuncitem.funcargs["anyio_backend"]
    given = getattr(obj, "hypothesis", None)
    inner = _inner(obj)
    stand_in = _stand_in(run, inner, str(backend), mark, pyfuncitem)
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
    run: Callable[..., None],
    scenario: Scenario,
    backend: str,
    mark: pytest.Mark,
    item: pytest.Function,
) -> Callable[..., None]:
    @wraps(scenario)
    def test(*args: Any, **fixtures: Any) -> None:
        __tracebackhide__ = True
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
    if token:
        result = replay(scenario, token, backend=backend)
    else:
        result = explore(scenario, backend=backend, **mark.kwargs)
    item.user_properties.append(("schedules", result.schedules))
    result.check()


def _cancel_everywhere(
    scenario: Scenario, backend: Any, mark: pytest.Mark, item: pytest.Function
) -> None:
    from aconcur.testing import cancel_everywhere

    __tracebackhide__ = True
    result = cancel_everywhere(scenario, backend=backend, **mark.kwargs)
    item.user_properties.append(("cancels", result.cancels))
    result.check()
