"""Every test runs on three loops and must leave nothing behind."""

from __future__ import annotations

import asyncio
import asyncio.constants
import gc
import inspect
import os
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import AsyncIterator, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from multiprocessing.util import get_temp_dir
from pathlib import Path
from types import FrameType, ModuleType

import anyio
import pytest

from aconcur.testing import Snapshot
from tests.support.backends import BACKENDS
from tests.support.extras import missing_in_report, missing_module, missing_parameter

pytest_plugins = ("pytester",)


@pytest.fixture(scope="session", params=list(BACKENDS.values()), ids=list(BACKENDS))
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return request.param


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Skip a test file that cannot be imported without a module of an extra."""
    report = yield
    if report.failed and (module := missing_in_report(str(report.longrepr))):
        report.outcome = "skipped"
        report.longrepr = (str(collector.path), 0, f"Skipped: not installed: {module}")
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup() -> Iterator[None]:
    with skipped_without_extras():
        yield


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Iterator[None]:
    with skipped_without_extras():
        yield


@contextmanager
def skipped_without_extras() -> Iterator[None]:
    """Turn an error that a module of an extra is not installed into a skip with that reason."""
    try:
        yield
    except Exception as error:
        if module := missing_module(error):
            pytest.skip(f"not installed: {module}")
        raise


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for value in item.callspec.params.values() if hasattr(item, "callspec") else ():
            if module := missing_parameter(value):
                item.add_marker(pytest.mark.skip(reason=f"not installed: {module}"))
    # Fixtures end in reverse order: tasks are counted while the test's loop runs, the rest later.
    for item in items:
        if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.function):
            item.fixturenames.append("no_leaked_tasks")


def pytest_collection_finish() -> None:
    """Freeze the heap, so that hundreds of garbage collections save 0.1 s each."""
    # When hypothesis is imported it asks gc for trio's random numbers, and gc hides frozen objects.
    import hypothesis

    # A busy machine makes neither a single example nor the drawing of examples wrong.
    hypothesis.settings.register_profile(
        "busy", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
    )
    hypothesis.settings.load_profile("busy")
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def signals_are_heard() -> Iterator[None]:
    """Let Ctrl-C interrupt this process and every child, and a hang-up end them.

    A shell starts background jobs with SIGINT ignored, nohup(1) starts its command with SIGHUP
    ignored, and children inherit that.
    """
    on_ctrl_c = signal.signal(signal.SIGINT, signal.default_int_handler)
    on_hang_up = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGINT, on_ctrl_c)
    signal.signal(signal.SIGHUP, on_hang_up)


@pytest.fixture(scope="session", autouse=True)
def children_keep_bytecode() -> Iterator[None]:
    """Let the hundreds of processes that tests start share compiled bytecode."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
        yield


@pytest.fixture(scope="session", autouse=True)
def short_debug_stacks() -> Iterator[None]:
    """Let debug mode record only the innermost frame of each task: all frames double the time.

    asyncio takes the depth from ``asyncio.constants``. Its futures and tasks, written in C, call
    the ``traceback.extract_stack`` that they found on import, without a limit. uvloop's depth of
    ten is compiled in; its calls are known by ``lookup_lines=False``, which only the loops pass.
    """
    whole = traceback.StackSummary.extract

    def extract(
        frames: Iterable[tuple[FrameType, int]],
        *,
        limit: int | None = None,
        lookup_lines: bool = True,
        capture_locals: bool = False,
    ) -> traceback.StackSummary:
        if limit != 1 and lookup_lines:
            return whole(
                frames, limit=limit, lookup_lines=lookup_lines, capture_locals=capture_locals
            )
        frame, line = next(iter(frames))
        code = frame.f_code
        innermost = traceback.FrameSummary(code.co_filename, line, code.co_name, lookup_line=False)
        return traceback.StackSummary.from_list([innermost])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asyncio.constants, "DEBUG_STACK_DEPTH", 1)
        patch.setattr(traceback.extract_stack, "__defaults__", (None, 1))
        patch.setattr(traceback.StackSummary, "extract", extract)
        yield


@pytest.fixture(scope="session", autouse=True)
def private_temporary_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Send every temporary file of the suite and its children to a folder that can be listed."""
    folder = tmp_path_factory.mktemp("temporary")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(folder))
        patch.setattr(tempfile, "tempdir", str(folder))
        get_temp_dir()  # multiprocessing's, which it keeps: before a test is blamed
        yield folder


@pytest.fixture(scope="session", autouse=True)
def process_wide_signal_pipe() -> None:
    """Open the pipe that libuv opens with its first loop and keeps, before a test is blamed."""
    with suppress(ModuleNotFoundError, LookupError):
        anyio.run(anyio.sleep, 0, backend="asyncio", backend_options={"use_uvloop": True})


@pytest.fixture(scope="module")
def light_main_module() -> Iterator[None]:
    """Let worker processes skip pytest, which they would import as their parent's main module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "__main__", ModuleType("__main__"))
        yield


@pytest.fixture(autouse=True)
def no_leaks(private_temporary_folder: Path) -> Iterator[None]:
    """Fail the test that leaves a task, thread, descriptor, child process or temporary file."""
    before = Snapshot.take(private_temporary_folder)
    yield
    # multiprocessing's default from Python 3.14 on; it would live to the end of this process.
    if server := sys.modules.get("multiprocessing.forkserver"):
        server._forkserver._stop()
    if (
        resource_tracker._resource_tracker._pid  # type: ignore[attr-defined]
        and not Snapshot.take().children
    ):
        # End the tracker, or a later test counts it among its own children. A semaphore that is
        # collected later would start it again.
        gc.collect()
        resource_tracker._resource_tracker._stop()  # type: ignore[attr-defined]
    for thread in threading.enumerate():
        # These end soon by themselves: anyio's idle threads after their loop, and the threads that
        # wait for a child, ours and (before Python 3.12) asyncio's, after the child.
        if thread.name.startswith(("AnyIO worker thread", "aconcur waits for", "asyncio-waitpid-")):
            thread.join(5)
    if left := Snapshot.take(private_temporary_folder).since(before):
        for child in left.children:
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        pytest.fail(f"left behind: {left}", pytrace=False)


def _tasks(backend: str) -> dict[int, str]:
    """Return the running tasks, except the one in which anyio's plugin runs this fixture."""
    if backend == "trio":
        return {task.id: repr(task) for task in anyio.get_running_tasks()}
    return {
        id(task): repr(task)
        for task in asyncio.all_tasks()
        if "TestRunner." not in getattr(task.get_coro(), "__qualname__", "")
    }


@pytest.fixture
async def no_leaked_tasks(anyio_backend_name: str) -> AsyncIterator[None]:
    before = _tasks(anyio_backend_name)
    yield
    after = _tasks(anyio_backend_name)
    if left := [shown for task, shown in after.items() if task not in before]:
        pytest.fail(f"tasks left behind: {left}", pytrace=False)
