"""A descriptor tells when a child has ended, without reaping it, with and without pidfds."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from select import select

import anyio
import pytest

from aconcur._core.pidfd import open_exit_fd
from tests.support.states import BOUND, until_sync


def failing(code: int) -> Callable[..., int]:
    def pidfd_open(*_: int) -> int:
        raise OSError(code, os.strerror(code))

    return pidfd_open


WAYS: dict[str, Callable[..., int] | None] = {
    "pidfd": getattr(os, "pidfd_open", None),
    "no pidfd_open": None,
    "older kernel": failing(errno.ENOSYS),
    "sandbox": failing(errno.EPERM),
}


@pytest.fixture(params=list(WAYS.values()), ids=list(WAYS))
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param is not None:
        monkeypatch.setattr(os, "pidfd_open", request.param, raising=False)
    else:
        monkeypatch.delattr(os, "pidfd_open", raising=False)


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        yield process


def free_descriptor() -> int:
    """Return the number that the next descriptor would get."""
    fd = os.dup(0)
    os.close(fd)
    return fd


def is_readable(fd: int, seconds: float = 0) -> bool:
    return bool(select([fd], [], [], seconds)[0])


@pytest.mark.usefixtures("way")
def test_descriptor_becomes_readable_when_the_child_has_ended(
    child: subprocess.Popen[bytes],
) -> None:
    fd = open_exit_fd(child.pid)
    with closing(os.fdopen(fd, "rb", buffering=0)):
        assert not is_readable(fd)
        child.kill()
        assert is_readable(fd, BOUND)
        # The child is a zombie: it keeps its process id until this reaps it.
        assert os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT) is not None
        assert child.wait() == -9


@pytest.mark.usefixtures("way")
async def test_event_loop_waits_for_the_descriptor(child: subprocess.Popen[bytes]) -> None:
    fd = open_exit_fd(child.pid)
    try:
        child.kill()
        with anyio.fail_after(BOUND):
            await anyio.wait_readable(fd)
    finally:
        os.close(fd)


def test_child_that_was_reaped_elsewhere_has_ended(
    child: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "pidfd_open", raising=False)
    child.kill()
    child.wait()
    fd = open_exit_fd(child.pid)
    with closing(os.fdopen(fd, "rb", buffering=0)):
        assert is_readable(fd, BOUND)


def test_other_errors_are_raised(
    child: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "pidfd_open", failing(errno.EMFILE), raising=False)
    with pytest.raises(OSError, match="Too many open files"):
        open_exit_fd(child.pid)


def test_thread_that_cannot_start_leaves_no_descriptor(
    child: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_thread(*_: object, **__: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.delattr(os, "pidfd_open", raising=False)
    monkeypatch.setattr("aconcur._core.pidfd.Thread.start", no_thread)
    before = free_descriptor()
    with pytest.raises(RuntimeError, match="can't start"):
        open_exit_fd(child.pid)
    until_sync(lambda: free_descriptor() == before)
