"""Every test runs on three loops and must leave nothing behind."""

from __future__ import annotations

import asyncio
import gc
import inspect
import os
import signal
import tempfile
import threading
from collections.abc import AsyncIterator, Iterator
from multiprocessing import resource_tracker
from pathlib import Path

import anyio
import pytest

from tests.support.backends import BACKENDS


@pytest.fixture(scope="session", params=list(BACKENDS.values()), ids=list(BACKENDS))
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return request.param


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # Last in, first out: tasks are counted while the test's loop still runs, all else after it.
    for item in items:
        if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.function):
            item.fixturenames.append("no_leaked_tasks")


@pytest.fixture(scope="session", autouse=True)
def ctrl_c_is_heard() -> Iterator[None]:
    """Let Ctrl-C interrupt, here and in every child.

    A shell lets what it starts in the background ignore SIGINT, and children inherit that.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session", autouse=True)
def private_temporary_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Send every temporary file of the suite and its children where it can be counted."""
    folder = tmp_path_factory.mktemp("temporary")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(folder))
        patch.setattr(tempfile, "tempdir", None)
        yield folder


@pytest.fixture(scope="session", autouse=True)
def process_wide_signal_pipe() -> None:
    """Let libuv open the pipe that it opens with the first loop and keeps: it is not a test's."""
    anyio.run(anyio.sleep, 0, backend="asyncio", backend_options={"use_uvloop": True})


def _descriptors() -> dict[int, str]:
    if not Path("/proc/self/fd").is_dir():
        return {}
    found: dict[int, str] = {}
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - Path.iterdir stats a fd that is gone
        try:
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")  # noqa: PTH115 - text, not Path
        except FileNotFoundError:
            continue
    # multiprocessing's resource tracker lives, by design, until the interpreter ends.
    tracker: int | None = resource_tracker._resource_tracker._fd  # type: ignore[attr-defined]
    if tracker is not None:
        found.pop(tracker, None)
    return found


def _children() -> set[int]:
    found: set[int] = set()
    for task in Path("/proc/self/task").glob("*/children"):
        try:
            found.update(map(int, task.read_text().split()))
        except (FileNotFoundError, ProcessLookupError):
            continue
    found.discard(resource_tracker._resource_tracker._pid)  # type: ignore[attr-defined]
    return found


def _threads() -> set[threading.Thread]:
    # trio keeps idle threads for ten seconds, by design, under this name.
    return {t for t in threading.enumerate() if not t.name.startswith("Trio thread ")}


@pytest.fixture(autouse=True)
def no_leaks(private_temporary_folder: Path) -> Iterator[None]:
    """Fail the test that leaves a task, thread, descriptor, child process or temporary file."""
    before = _descriptors(), _children(), _threads(), set(private_temporary_folder.iterdir())
    yield
    if resource_tracker._resource_tracker._pid and not _children():  # type: ignore[attr-defined]
        # Nobody needs the tracker: end it, or a later test counts it among its own children. A
        # semaphore that is collected later would start it again.
        gc.collect()
        resource_tracker._resource_tracker._stop()  # type: ignore[attr-defined]
    for thread in threading.enumerate():
        if thread.name.startswith("asyncio-waitpid"):
            # Before Python 3.12 asyncio waits for a child in a thread, which reports and then ends.
            thread.join(1)
    descriptors = {fd: to for fd, to in _descriptors().items() if before[0].get(fd) != to}
    left = {
        "descriptors": descriptors,
        "children": _children() - before[1],
        "threads": _threads() - before[2],
        "temporary files": set(private_temporary_folder.iterdir()) - before[3],
    }
    if named := {kind: things for kind, things in left.items() if things}:
        pytest.fail(f"left behind: {named}", pytrace=False)


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
