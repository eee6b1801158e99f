"""The k-th system call of a kind fails: nothing is left, the error is told, the next run works."""

from __future__ import annotations

import errno
import fcntl
import os
import selectors
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Any, NamedTuple

import anyio
import pytest

from aconcur.process import PIPE, Command, CommandFailed, InputClosed
from tests.support.commands import children, descriptors, sh

CAT = Command("cat")


class Call(NamedTuple):
    """A function that makes a system call, and how it fails."""

    owner: Any
    name: str
    number: int
    after: bool = False
    """Whether it has its effect all the same, as close(2) with EIO."""


CALLS = {
    "fork": Call(subprocess, "_fork_exec", errno.EAGAIN),
    "setpgid": Call(subprocess, "_fork_exec", errno.EPERM),
    "pipe": Call(os, "pipe", errno.EMFILE),
    "read": Call(os, "read", errno.EIO),
    "write": Call(os, "write", errno.EIO),
    "close": Call(os, "close", errno.EIO, after=True),
    "waitid": Call(os, "waitid", errno.EINVAL),
    "wait4": Call(os, "wait4", errno.ECHILD, after=True),
    "pidfd_open": Call(os, "pidfd_open", errno.EMFILE),
    "fcntl": Call(fcntl, "fcntl", errno.EINVAL),
    "set_blocking": Call(os, "set_blocking", errno.EINVAL),
    "open": Call(os, "open", errno.ENFILE),
    "dup": Call(os, "dup", errno.EMFILE),
    "epoll_ctl": Call(selectors.DefaultSelector, "register", errno.ENOSPC),
}


@contextmanager
def failing(call: Call, at: int) -> Iterator[list[int]]:
    """Let the call fail when this package makes it for the ``at``-th time."""
    real = getattr(call.owner, call.name)
    made = [0]

    def instead(*args: Any, **options: Any) -> Any:  # noqa: ANN401
        frame = sys._getframe(1)
        ours = f"{os.sep}aconcur{os.sep}" in frame.f_code.co_filename
        if ours or frame.f_code.co_filename == subprocess.__file__:
            made[0] += 1
            if made[0] == at:
                if call.after:
                    real(*args, **options)
                raise OSError(call.number, os.strerror(call.number))
        return real(*args, **options)

    setattr(call.owner, call.name, instead)
    try:
        yield made
    finally:
        setattr(call.owner, call.name, real)


async def small() -> None:
    assert (await (CAT | CAT).run(input=b"x")).stdout == b"x"


async def big() -> None:
    assert (await (CAT | CAT).run(input=bytes(300_000))).stdout == bytes(300_000)


async def poured() -> None:
    async def some() -> AsyncIterator[bytes]:
        for _ in range(2):
            yield b"x" * 70_000

    assert len((await CAT.run(input=some())).stdout) == 140_000


async def talked_with() -> None:
    async with (CAT | CAT).open(input=PIPE) as running:
        await running.write(b"a\n")
        running.close_input()
        assert [line async for line in running.lines()] == [b"a"]


async def ended() -> None:
    with anyio.move_on_after(0.1):
        await sh("sleep 60 & sleep 60").run(grace=0)


async def on_a_terminal() -> None:
    async with sh("read a; echo got $a").open(pty=True, grace=0.1) as running:
        await running.write(b"word\n")
        async for _ in running.lines():
            pass


@pytest.mark.parametrize("run", [small, big, poured, talked_with, ended, on_a_terminal])
@pytest.mark.parametrize("name", CALLS)
async def test_whichever_call_fails_nothing_is_left(
    name: str, run: Callable[[], Awaitable[None]]
) -> None:
    call = CALLS[name]
    await run()
    before = descriptors(), children()
    for at in range(1, 60):
        with failing(call, at) as made:
            try:
                with anyio.fail_after(20):
                    await run()
            except InputClosed:
                pass  # EIO on a terminal: it has hung up
            except CommandFailed as error:
                # The status was taken by another part of the program.
                assert "unknown status" in str(error), error  # noqa: PT017
            except OSError as error:
                assert os.strerror(call.number) in str(error), error  # noqa: PT017
        assert (descriptors(), children()) == before, f"call {at}"
        await run()
        if made[0] < at:
            break
    else:
        raise AssertionError("it has no end")


async def test_a_start_that_fails_after_the_fork_costs_no_grace() -> None:
    before, began = children(), perf_counter()
    with failing(CALLS["epoll_ctl"], 2), pytest.raises(OSError, match="No space"):
        await (sh("trap '' TERM; sleep 60") | sh("trap '' TERM; sleep 60")).run(grace=40)
    assert perf_counter() - began < 20
    assert children() == before
