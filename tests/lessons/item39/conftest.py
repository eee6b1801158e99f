"""Limits and the picture server for the tests of item 39."""

from __future__ import annotations

import functools
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeAlias

import anyio
import pytest

from aconcur.lessons.item39_queue import work
from aconcur.lessons.item39_queue.work import Served

LESSON = "item39_queue"
PACKAGE = f"aconcur.lessons.{LESSON}"

Call: TypeAlias = Callable[..., Awaitable[Any]]
Job: TypeAlias = Callable[[Any], Any]

# Short, so that a version that hangs fails soon.
pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def call(call: Call) -> Call:
    """End a version that hangs: tasks are cancelled; threads meet the test's timeout."""

    async def limited(*arguments: object) -> object:
        with anyio.fail_after(30):
            return await call(*arguments)

    return limited


@pytest.fixture
def job(request: pytest.FixtureRequest) -> Callable[[Job], Job]:
    """Make a job for the version under test of a plain function."""
    version = request.node.callspec.params["call"][1]

    def made(func: Job) -> Job:
        @functools.wraps(func)
        async def awaited(item: object) -> object:
            return func(item)

        return func if version == "original" else awaited

    return made


@pytest.fixture(autouse=True)
def _a_thread_may_exit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take SystemExit in a thread as threading does: as no error. Pytest reports it."""
    report = threading.excepthook

    def hook(args: threading.ExceptHookArgs) -> None:
        if args.exc_type is not SystemExit:
            report(args)

    monkeypatch.setattr(threading, "excepthook", hook)


@pytest.fixture(scope="module")
def _server() -> Iterator[Served]:
    with work.served(10, seed=39, delay=0) as at:
        yield at


@pytest.fixture
def at(_server: Served) -> Served:
    """Return a picture server that nothing has been uploaded to."""
    for file in _server.folder.iterdir():
        file.unlink()
    return _server
