"""Every test runs on three loops and must leave nothing behind."""

from __future__ import annotations

import asyncio
import asyncio.constants
import gc
import inspect
import signal
import sys
import threading
import traceback
from collections.abc import AsyncIterator, Iterable, Iterator
from multiprocessing import resource_tracker
from pathlib import Path
from types import FrameType, ModuleType

import anyio
import pytest

from aconcur.testing._leaks.cleanup import join_child_watchers
from aconcur.testing._leaks.snapshot import Snapshot, temporary_files_in
from tests.support.backends import BACKENDS

pytest_plugins = ("pytester",)


@pytest.fixture(scope="session", params=list(BACKENDS.values()), ids=list(BACKENDS))
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return request.param


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # Last in, first out: tasks are counted while the test's loop still runs, all else after it.
    for item in items:
        if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.function):
            item.fixturenames.append("no_leaked_tasks")


def pytest_collection_finish() -> None:
    """Let no collection of garbage walk through what lives to the end: 0.1 s, hundreds of times."""
    # On import it looks for who refers to trio's random numbers, and nobody finds what is frozen.
    import hypothesis  # noqa: F401

    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def ctrl_c_is_heard() -> Iterator[None]:
    """Let Ctrl-C interrupt, here and in every child.

    A shell lets what it starts in the background ignore SIGINT, and children inherit that.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session", autouse=True)
def children_keep_bytecode() -> Iterator[None]:
    """Let the hundreds of processes that start compile what they import once, not each anew."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
        yield


@pytest.fixture(scope="session", autouse=True)
def short_debug_stacks() -> Iterator[None]:
    """Let debug mode note the innermost frame of what is made, not all: half of the loops' time.

    asyncio asks ``asyncio.constants`` for the depth. Its futures and tasks, which are written in C,
    call ``traceback.extract_stack`` as they found it on import, without a limit; uvloop's depth of
    ten is compiled in, but like asyncio it asks for frames without their source lines, as nobody
    else does.
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
    """Send every temporary file of the suite and its children where it can be counted."""
    with temporary_files_in(tmp_path_factory.mktemp("temporary")) as folder:
        yield folder


@pytest.fixture(scope="session", autouse=True)
def process_wide_signal_pipe() -> None:
    """Let libuv open the pipe that it opens with the first loop and keeps: it is not a test's."""
    anyio.run(anyio.sleep, 0, backend="asyncio", backend_options={"use_uvloop": True})


@pytest.fixture(scope="module")
def light_main_module() -> Iterator[None]:
    """Spare worker processes the import of pytest, which is the main module of their parent."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "__main__", ModuleType("__main__"))
        yield


@pytest.fixture(autouse=True)
def no_leaks(private_temporary_folder: Path) -> Iterator[None]:
    """Fail the test that leaves a task, thread, descriptor, child process or temporary file."""
    before = Snapshot.take(private_temporary_folder)
    yield
    if (
        resource_tracker._resource_tracker._pid  # type: ignore[attr-defined]
        and not Snapshot.take().children
    ):
        # Nobody needs the tracker: end it, or a later test counts it among its own children. A
        # semaphore that is collected later would start it again.
        gc.collect()
        resource_tracker._resource_tracker._stop()  # type: ignore[attr-defined]
    join_child_watchers(5)
    for thread in threading.enumerate():
        # These have nothing left to do, and nobody waits for them: anyio tells its idle threads to
        # end when the loop does, and ours have told of a child's end.
        if thread.name == "AnyIO worker thread" or thread.name.startswith("aconcur waits for"):
            thread.join(5)
    if left := Snapshot.take(private_temporary_folder).since(before):
        pytest.fail(f"left behind: {left}", pytrace=False)


def _tasks(backend: str) -> dict[int, str]:
    """Return the running tasks, less the one in which anyio's plugin drives this fixture."""
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
