"""Marks for pytest: ``explore`` and ``cancel_everywhere`` on async tests.

A marked test is a scenario: it runs once for each schedule, or for each point at which it is
cancelled. An error is shown as pytest always shows it, with the schedule below. The options of a
mark are those of :func:`aconcur.testing.explore` and :func:`aconcur.testing.cancel_everywhere`, by
name. A test with both marks is explored and then cancelled::

    @pytest.mark.explore(bound=3)
    async def test_two_withdrawals() -> None: ...

**Back-ends.** asyncio, unless the mark names one (``backend="trio"``) or several
(``backend=("asyncio", "trio")``), the test has pytest-trio's mark, or the ini key
``aconcur_backends`` lists them. More ini keys: ``aconcur_bound`` and ``aconcur_seconds``, for tests
marked ``explore``; an option of the mark goes first.

**Fixtures.** Function-scoped fixtures that the test asks for are made anew for each run, async ones
on the loop of that run; so are an instance of the test's class and its ``setup_method`` or, for a
:class:`unittest.IsolatedAsyncioTestCase`, its ``setUp`` and ``asyncSetUp``. Fixtures with a wider
scope, those of pytest itself (``tmp_path``, ``monkeypatch``) and autouse fixtures are made once.

**Other plugins** (pytest-asyncio in either mode, anyio's, pytest-trio, Hypothesis) keep their marks
and fixtures; a marked test is run here instead of on their loops.

Found by pytest through its entry point; nothing has to be imported.
"""

from __future__ import annotations

__all__ = ()

import inspect
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial, wraps
from inspect import iscoroutinefunction, unwrap
from typing import Any, Final, TypeAlias
from unittest import IsolatedAsyncioTestCase

import pytest
from _pytest.unittest import TestCaseFunction

Scenario: TypeAlias = Callable[[], Awaitable[object]]
MARKS: Final = ("explore", "cancel_everywhere")
_TEST: Final = pytest.StashKey[Callable[..., Any]]()

# As anyio's plugin takes the name of a back-end, which it may have to run async fixtures on.
_PARAMETERS: dict[str, object] = {
    "asyncio": "asyncio",
    "trio": "trio",
    "uvloop": ("asyncio", {"use_uvloop": True}),
}
# Plugins whose function-scoped fixtures are made once and kept: they hold nothing of the test's.
_KEPT: Final = ("_pytest.", "anyio.", "pytest_asyncio.", "xdist.", "hypothesis.", "pytest_timeout")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--explore-replay`` and the ini keys."""
    parser.getgroup("aconcur").addoption(
        "--explore-replay",
        metavar="TOKEN",
        help="run only the schedule that a failure printed, in tests marked explore",
    )
    parser.addini(
        "aconcur_backends",
        "back-ends of tests marked explore or cancel_everywhere (default: asyncio)",
        type="args",
        default=["asyncio"],
    )
    parser.addini("aconcur_bound", "bound of tests marked explore (default: none)", default="")
    parser.addini("aconcur_seconds", "seconds of tests marked explore (default: none)", default="")


def pytest_configure(config: pytest.Config) -> None:
    """Register the marks."""
    for mark, what in (
        ("explore", "run an async test under many orders of its tasks' steps"),
        ("cancel_everywhere", "cancel an async test at each of its steps"),
    ):
        line = f"{mark}(**options): {what}, with the options of aconcur.testing.{mark}"
        config.addinivalue_line("markers", line)


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makeitem(collector: pytest.Collector, name: str, obj: object) -> None:
    """Refuse a mark on a test that is not async; let a test run on several back-ends."""
    if not isinstance(collector, pytest.Module | pytest.Class) or not collector.istestfunction(
        obj, name
    ):
        return
    marks = [mark for mark in getattr(obj, "pytestmark", ()) if mark.name in MARKS]
    marks += [mark for one in MARKS if (mark := collector.get_closest_marker(one))]
    if not marks:
        return
    if not iscoroutinefunction(unwrap(_inner(obj))):
        mark = min(mark.name for mark in marks)
        raise pytest.UsageError(
            f"{name}: @pytest.mark.{mark} needs an async test, and this one is not"
        )
    if len({name for mark in marks for name in _backends(mark, collector)}) > 1:
        pytest.mark.usefixtures("anyio_backend")(obj)


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a marked test on each of its back-ends."""
    item = metafunc.definition
    wanted = {name for mark in _marks(item) for name in _backends(mark, item)}
    if wanted and "anyio_backend" in metafunc.fixturenames:
        backends = [
            pytest.param(parameter, id=name)
            for name, parameter in _PARAMETERS.items()
            if name in wanted
        ]
        # A mark takes precedence over the parameters of the fixture.
        item.add_marker(pytest.mark.parametrize("anyio_backend", backends))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep each marked test as it is written, before other plugins wrap it for their loops."""
    for item in items:
        if not isinstance(item, pytest.Function) or not (marks := _marks(item)):
            continue
        item.stash[_TEST] = _inner(item.obj)
        if isinstance(item, TestCaseFunction):
            _take_over_unittest(item, marks)


def _take_over_unittest(item: TestCaseFunction, marks: list[pytest.Mark]) -> None:
    case = item.cls
    if not (isinstance(case, type) and issubclass(case, IsolatedAsyncioTestCase)):
        raise pytest.UsageError(
            f"{item.name}: @pytest.mark.{marks[0].name} needs unittest.IsolatedAsyncioTestCase "
            "as the base of its class, or a class without a base"
        )

    def runtest() -> None:
        __tracebackhide__ = True
        for mark in marks:
            if "asyncio" not in (backends := _backends(mark, item)):
                raise pytest.UsageError(
                    f"{item.name}: IsolatedAsyncioTestCase runs on asyncio only, not {backends[0]}"
                )
            _run(mark, "asyncio", partial(_run_case, case, item.name), item)

    item.runtest = runtest  # type: ignore[method-assign]


async def _run_case(case: type[IsolatedAsyncioTestCase], name: str) -> None:
    """Do as unittest does for one test, on the loop that runs."""
    one = case(name)
    try:
        one.setUp()
        await one.asyncSetUp()
        try:
            await getattr(one, name)()
        finally:
            await one.asyncTearDown()  # noqa: ASYNC102 - as unittest does
            one.tearDown()
    finally:
        cleanups: list[Any] = one._cleanups  # type: ignore[attr-defined]
        while cleanups:
            function, args, options = cleanups.pop()
            answer = function(*args, **options)
            if inspect.isawaitable(answer):
                await answer  # noqa: ASYNC102 - as unittest does


def _marks(item: pytest.Item) -> list[pytest.Mark]:
    return list(filter(None, map(item.get_closest_marker, MARKS)))


def _backends(mark: pytest.Mark, node: Any) -> list[str]:
    """Return the back-ends that a test runs on."""
    if mark.args:
        given = ", ".join(map(repr, mark.args))
        raise pytest.UsageError(
            f"@pytest.mark.{mark.name} takes its options by name, like "
            f"{'bound=3' if mark.name == 'explore' else 'twice=False'}, not {given}"
        )
    known = [name for name in _PARAMETERS if mark.name != "explore" or name != "uvloop"]
    if "backend" in mark.kwargs:
        source, given = f"@pytest.mark.{mark.name}: backend", mark.kwargs["backend"]
        backends: Sequence[Any] = [given] if isinstance(given, str) else list(given)
    elif node.get_closest_marker("trio"):
        return ["trio"]
    else:
        source, backends = "aconcur_backends", node.config.getini("aconcur_backends")
    for backend in backends:
        if backend not in known:
            raise pytest.UsageError(f"{source} must be one of {', '.join(known)}, not {backend!r}")
    return list(backends)


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Run a marked test many times: what is called in its place is not async for any plugin."""
    marks = _marks(pyfuncitem)
    if not marks or _TEST not in pyfuncitem.stash:
        return (yield)
    test = pyfuncitem.stash[_TEST]
    parameter = pyfuncitem.funcargs.get("anyio_backend")
    backend = next((name for name, one in _PARAMETERS.items() if one == parameter), None)
    fixtures = _Fixtures(pyfuncitem)

    @wraps(test)
    def run(*args: Any, **options: Any) -> None:
        __tracebackhide__ = True
        for mark in marks:
            for one in _backends(mark, pyfuncitem):
                if backend in (None, one):
                    scenario = partial(fixtures.call, test, args, options)
                    _run(mark, one, scenario, pyfuncitem)

    # Or inspect.unwrap() finds the async function again.
    del run.__wrapped__
    obj = pyfuncitem.obj
    given = getattr(obj, "hypothesis", None)
    before = given.inner_test if given is not None else obj
    if given is not None:
        given.inner_test = run
    else:
        pyfuncitem.obj = run
    try:
        return (yield)
    finally:
        if given is not None:
            given.inner_test = before
        else:
            pyfuncitem.obj = before


def _inner(obj: Any) -> Any:
    """Return the test itself, where Hypothesis has wrapped it."""
    given = getattr(obj, "hypothesis", None)
    return obj if given is None else given.inner_test


class _Fixtures:
    """Makes what a test is given anew for each run."""

    def __init__(self, item: pytest.Function) -> None:
        self._item = item
        self._definitions: dict[str, Any] = item._fixtureinfo.name2fixturedefs
        self._anew = {
            name
            for name, definitions in self._definitions.items()
            if definitions[-1].scope == "function"
            and not f"{getattr(definitions[-1].func, '__module__', '')}.".startswith(_KEPT)
        }
        for name in item._fixtureinfo.argnames:
            module = getattr(self._definitions.get(name, [None])[-1], "func", None)
            if getattr(module, "__module__", "").startswith("pytest_trio"):
                raise pytest.UsageError(
                    f"{item.name}: fixture {name!r} belongs to pytest-trio's own run, and a test "
                    "marked explore or cancel_everywhere runs without it: open what it gives in "
                    "the test"
                )

    async def call(self, test: Any, args: Sequence[Any], options: dict[str, Any]) -> None:
        """Run the test once, with new fixtures and a new instance of its class."""
        async with AsyncExitStack() as stack:
            instance = self._instance(stack, args)
            made: dict[tuple[str, int], Any] = {}
            for name in options:
                if name in self._anew:
                    options = {
                        **options,
                        name: await self._value(name, -1, instance, stack, made),
                    }
            function = getattr(test, "__func__", test)
            if instance is not None:
                args = (instance, *(args if function is test and not args else args[1:]))
            await function(*args, **options)

    def _instance(self, stack: AsyncExitStack, args: Sequence[Any]) -> Any:
        del args
        if self._item.cls is None:
            return None
        instance = self._item.cls()
        for before, after in (("setup_method", "teardown_method"),):
            if (setup := getattr(instance, before, None)) is not None:
                _call_xunit(setup, self._item.obj)
            if (teardown := getattr(instance, after, None)) is not None:
                stack.callback(_call_xunit, teardown, self._item.obj)
        return instance

    async def _value(
        self,
        name: str,
        index: int,
        instance: Any,
        stack: AsyncExitStack,
        made: dict[tuple[str, int], Any],
    ) -> Any:
        if name == "request":
            return _Request(self._item, stack)
        if name not in self._anew:
            return self._item._request.getfixturevalue(name)
        if (name, index) in made:
            return made[name, index]
        definition = self._definitions[name][index]
        values: dict[str, Any] = {}
        for needed in definition.argnames:
            # A fixture that asks for its own name gets the one that it overrides.
            which = index - 1 if needed == name else -1
            values[needed] = await self._value(needed, which, instance, stack, made)
        if "request" in values:
            values["request"] = _Request(self._item, stack, name)
        function = unwrap(definition.func)
        owner = getattr(function, "__self__", None)
        if owner is not None and instance is not None and isinstance(instance, type(owner)):
            function = function.__func__.__get__(instance)
        made[name, index] = await _made(function, values, stack)
        return made[name, index]


class _Request:
    """Stands for pytest's ``request`` in a fixture that is made anew."""

    def __init__(self, item: pytest.Function, stack: AsyncExitStack, name: str = "") -> None:
        self._item, self._stack = item, stack
        params = item.callspec.params if hasattr(item, "callspec") else {}
        if name in params:
            self.param = params[name]

    def addfinalizer(self, finalizer: Callable[[], object]) -> None:
        """Call a function at the end of the run."""
        self._stack.callback(finalizer)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._item._request, name)


async def _made(function: Callable[..., Any], values: dict[str, Any], stack: AsyncExitStack) -> Any:
    """Return a fixture's value; its end is left to the stack."""
    if inspect.isasyncgenfunction(function):
        return await stack.enter_async_context(asynccontextmanager(function)(**values))
    if inspect.isgeneratorfunction(function):
        return await stack.enter_async_context(_of_generator(function(**values)))
    value = function(**values)
    return await value if inspect.iscoroutine(value) else value


@asynccontextmanager
async def _of_generator(generator: Iterator[Any]) -> AsyncIterator[Any]:
    try:
        yield next(generator)
    finally:
        next(generator, None)


def _call_xunit(method: Callable[..., object], test: object) -> None:
    """Call setup_method or teardown_method, which may take the test's method."""
    if inspect.signature(method).parameters:
        method(test)
    else:
        method()


def _run(mark: pytest.Mark, backend: str, scenario: Scenario, item: pytest.Item) -> None:
    __tracebackhide__ = True
    run = _explore if mark.name == "explore" else _cancel_everywhere
    if _loop_runs_here():
        _in_a_thread(run, scenario, backend, mark, item)
    else:
        run(scenario, backend, mark, item)


def _loop_runs_here() -> bool:
    """Return whether a plugin keeps a loop in this thread, between the steps of its fixtures."""
    from aconcur.testing._isolation import a_loop_runs

    return a_loop_runs()


def _in_a_thread(fn: Callable[..., None], *args: object) -> None:
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


def _explore(scenario: Scenario, backend: Any, mark: pytest.Mark, item: pytest.Item) -> None:
    from aconcur.testing import explore, replay

    __tracebackhide__ = True
    options: dict[str, Any] = {}
    for name, kind in (("bound", int), ("seconds", float)):
        if text := item.config.getini(f"aconcur_{name}"):
            try:
                options[name] = kind(text)
            except ValueError:
                raise pytest.UsageError(f"aconcur_{name} must be a number, not {text!r}") from None
    options |= {**mark.kwargs, "backend": backend}
    token = item.config.getoption("--explore-replay")
    if token is not None:
        kept = {key: options[key] for key in ("backend", "max_steps", "allow") if key in options}
        result = replay(scenario, token, **kept)
    else:
        result = explore(scenario, **options)
    item.user_properties.append(("schedules", result.schedules))
    result.check()


def _cancel_everywhere(
    scenario: Scenario, backend: Any, mark: pytest.Mark, item: pytest.Item
) -> None:
    from aconcur.testing import cancel_everywhere

    __tracebackhide__ = True
    result = cancel_everywhere(scenario, **{**mark.kwargs, "backend": backend})
    item.user_properties.append(("cancels", result.cancels))
    result.check()
