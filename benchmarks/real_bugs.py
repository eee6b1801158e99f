"""Find real bugs of anyio and CPython again, in the versions that had them.

    python benchmarks/real_bugs.py            # all; about two minutes, most of it pip's
    python benchmarks/real_bugs.py condition  # those whose name has the word in it

For each bug a virtual environment with the old version is made in a temporary folder, and the
scenario explored there; then once more with the version that mended it. CPython's bugs are shown
on the interpreters ``python3.11`` … ``python3.13`` that are found on the path.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio

if not hasattr(anyio, "NoEventLoopError"):  # before 4.12.1 it was another subclass
    vars(anyio)["NoEventLoopError"] = RuntimeError

from aconcur.testing import explore

BOUND = 3
SCHEDULES = 20_000
SOURCE = Path(__file__).resolve().parent.parent / "src"


@dataclass(frozen=True)
class Bug:
    """A bug, the versions around its end, and a scenario that ought to succeed."""

    scenario: Callable[[], Coroutine[Any, Any, None]]
    bad: str
    """The version that has it: of anyio, or ``python3.11``."""
    good: str
    reference: str
    """Where the fix is told."""

    @property
    def name(self) -> str:
        """The scenario's name."""
        return self.scenario.__name__


async def stream_drops_item() -> None:
    sender, receiver = anyio.create_memory_object_stream[int](1)
    scope, got = anyio.CancelScope(), list[int]()

    async def receive() -> None:
        with scope:
            got.append(await receiver.receive())

    async def cancel() -> None:
        scope.cancel()

    async with sender, receiver:
        async with anyio.create_task_group() as group:
            group.start_soon(receive)
            group.start_soon(cancel)
            group.start_soon(sender.send, 1)
        if not got:
            got.append(receiver.receive_nowait())
    assert got == [1], "the item is lost"


async def stream_keeps_sender_of_zero() -> None:
    sender, receiver = anyio.create_memory_object_stream[int](0)
    outcome: list[str] = []

    async def send() -> None:
        async with sender:
            try:
                await sender.send(0)
            except anyio.BrokenResourceError:
                outcome.append("refused")
            else:
                outcome.append("sent")

    async with anyio.create_task_group() as group:
        group.start_soon(send)
        group.start_soon(receiver.aclose)
    assert outcome == ["refused"], "the item was sent without a receiver"


async def cancelled_start_ends_the_group() -> None:
    scope, done = anyio.CancelScope(), list[str]()

    async def serve(*, task_status: anyio.abc.TaskStatus[None]) -> None:
        await anyio.lowlevel.checkpoint()
        task_status.started()
        await anyio.lowlevel.checkpoint()

    async def sibling() -> None:
        await anyio.sleep(1)
        done.append("sibling")

    async def cancel() -> None:
        scope.cancel()

    async with anyio.create_task_group() as group:
        group.start_soon(sibling)
        group.start_soon(cancel)
        with scope:
            await group.start(serve)
    assert done == ["sibling"], "the sibling was cancelled too"


async def host_task_is_not_uncancelled() -> None:
    with anyio.CancelScope() as outer:
        with anyio.CancelScope():
            outer.cancel()
            await anyio.lowlevel.checkpoint()
    task = asyncio.current_task()
    assert task is not None
    assert not task.cancelling(), "a request to cancel is left in the task"


async def lock_twice_hangs() -> None:
    lock = anyio.Lock()
    async with lock:
        try:
            await lock.acquire()
        except RuntimeError:
            return


async def limiter_forgets_the_next_waiter() -> None:
    limiter, scope = anyio.CapacityLimiter(1), anyio.CancelScope()

    async def use() -> None:
        async with limiter:
            await anyio.lowlevel.checkpoint()

    async def use_cancelled() -> None:
        with scope:
            await use()

    async def cancel() -> None:
        scope.cancel()

    async with anyio.create_task_group() as group:
        group.start_soon(use)
        group.start_soon(use_cancelled)
        group.start_soon(use)
        group.start_soon(cancel)


async def condition_loses_a_notification() -> None:
    changed, items, scope = anyio.Condition(), list[int](), anyio.CancelScope()
    took: list[str] = []

    async def take(name: str) -> None:
        async with changed:
            while not items:
                await changed.wait()
            items.pop()
            took.append(name)

    async def take_cancelled() -> None:
        with scope:
            await take("cancelled")

    async def put() -> None:
        async with changed:
            items.append(1)
            changed.notify()

    async def cancel() -> None:
        scope.cancel()

    async def put_and_look() -> None:
        await put()
        await anyio.sleep(1)  # until no task can go on
        assert not items, "an item lies beside a consumer that sleeps"
        if "other" not in took:
            await put()

    async with anyio.create_task_group() as group:
        group.start_soon(take_cancelled)
        group.start_soon(take, "other")
        group.start_soon(cancel)
        group.start_soon(put_and_look)


async def _with_cancelled_waiter(lock: anyio.Lock | anyio.Semaphore) -> None:
    scope = anyio.CancelScope()

    async def use() -> None:
        async with lock:
            await anyio.lowlevel.checkpoint()

    async def use_cancelled() -> None:
        with scope:
            await use()

    async def use_and_cancel() -> None:
        async with lock:
            await anyio.lowlevel.checkpoint()
            scope.cancel()

    async with anyio.create_task_group() as group:
        group.start_soon(use_and_cancel)
        group.start_soon(use_cancelled)
        group.start_soon(use)
        group.start_soon(use)


async def lock_keeps_a_cancelled_waiter() -> None:
    await _with_cancelled_waiter(anyio.Lock())


async def semaphore_keeps_a_cancelled_waiter() -> None:
    await _with_cancelled_waiter(anyio.Semaphore(1))


async def limiter_lends_too_much() -> None:
    limiter = anyio.CapacityLimiter(1)

    async def use() -> None:
        async with limiter:
            assert limiter.borrowed_tokens <= 1, f"{limiter.borrowed_tokens} of 1 tokens are lent"
            await anyio.lowlevel.checkpoint()

    async def try_to_use() -> None:
        try:
            limiter.acquire_nowait()
        except anyio.WouldBlock:
            return
        await anyio.lowlevel.checkpoint()
        limiter.release()

    async with anyio.create_task_group() as group:
        group.start_soon(use)
        group.start_soon(use)
        group.start_soon(try_to_use)


async def asyncio_condition_loses_a_notification() -> None:
    changed, items = asyncio.Condition(), list[int]()

    async def take() -> None:
        async with changed:
            await changed.wait_for(lambda: items)
            items.pop()

    async def put() -> None:
        async with changed:
            items.append(1)
            changed.notify()

    async with asyncio.TaskGroup() as group:
        first, _ = group.create_task(take()), group.create_task(take())
        group.create_task(put())
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.wait([first])
        if not first.cancelled():
            group.create_task(put())


async def wait_for_swallows_a_cancellation() -> None:
    answer = asyncio.get_running_loop().create_future()

    async def wait() -> None:
        await asyncio.wait_for(answer, 10)

    async def give() -> None:
        answer.set_result("it")

    waiter, giver = asyncio.create_task(wait()), asyncio.create_task(give())
    await asyncio.sleep(0)
    asked = waiter.cancel()
    await asyncio.wait([waiter, giver])
    assert not asked or waiter.cancelled(), "the task that was cancelled goes on"


BUGS = [
    Bug(stream_drops_item, "4.3.0", "4.4.0", "anyio 4.4.0, #728"),
    Bug(stream_keeps_sender_of_zero, "4.3.0", "4.4.0", "anyio 4.4.0, #731"),
    Bug(cancelled_start_ends_the_group, "4.3.0", "4.4.0", "anyio 4.4.0, #685, #706, #710"),
    Bug(host_task_is_not_uncancelled, "4.3.0", "4.4.0", "anyio 4.4.0, #716"),
    Bug(lock_twice_hangs, "4.6.0", "4.6.2", "anyio 4.6.1, #798"),
    Bug(limiter_forgets_the_next_waiter, "4.9.0", "4.10.0", "anyio 4.10.0, #947"),
    # In 4.13.0, which mended it, the same scenario hangs in the lock, by the bug below.
    Bug(condition_loses_a_notification, "4.12.1", "4.14.0", "anyio 4.13.0, #1075"),
    Bug(lock_keeps_a_cancelled_waiter, "4.13.0", "4.14.0", "anyio 4.14.0, #1145"),
    Bug(semaphore_keeps_a_cancelled_waiter, "4.13.0", "4.14.0", "anyio 4.14.0, #1145"),
    Bug(limiter_lends_too_much, "4.14.0", "4.14.2", "anyio 4.14.2, #1170"),
    Bug(
        asyncio_condition_loses_a_notification,
        "python3.11",
        "python3.13",
        "CPython 3.13, gh-112202",
    ),
    Bug(wait_for_swallows_a_cancellation, "python3.11", "python3.12", "CPython 3.12, bpo-37658"),
]


def look(name: str) -> None:
    """Explore one scenario with what this interpreter imports; print what was found as JSON."""
    (bug,) = (bug for bug in BUGS if bug.name == name)
    exploration = explore(bug.scenario, bound=BOUND, schedules=SCHEDULES)
    print(json.dumps({"failed": not exploration.ok, "text": str(exploration)}))


class Environments:
    """The versions that were installed so far."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def python(self, version: str) -> str | None:
        """Return the interpreter with this version of anyio, or of Python; None if there is none.

        Raises:
            subprocess.CalledProcessError: pip found no such version.
        """
        if version.startswith("python"):
            found, what = shutil.which(version), "anyio"
        else:
            found, what = sys.executable, f"anyio=={version}"
        if not found or subprocess.run([found, "--version"], capture_output=True).returncode:
            return None
        folder = self._folder / version
        python = folder / "bin" / "python"
        if not folder.exists():
            _run(found, "-m", "venv", str(folder))
            _run(str(python), "-m", "pip", "install", "--quiet", what)
        return str(python)


def _run(*command: str) -> str:
    done = subprocess.run(
        command,
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
    )
    return done.stdout


@contextmanager
def environments() -> Iterator[Environments]:
    """Install into a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="real-bugs-") as folder:
        yield Environments(Path(folder))


def show(bug: Bug, installed: Environments) -> bool:
    """Print what the explorer finds in both versions; return whether it is as it should be."""
    print(f"\n== {bug.name}: {bug.reference}")
    as_expected = True
    for version, fails in ((bug.bad, True), (bug.good, False)):
        python = installed.python(version)
        if python is None:
            print(f"{version}: not on this machine")
            continue
        found = json.loads(_run(python, __file__, "--look", bug.name))
        as_expected &= found["failed"] is fails
        print(f"{version}: {found['text']}")
    return as_expected


def main(*words: str) -> None:
    """Show the bugs whose name has one of the words in it, or all."""
    chosen = [bug for bug in BUGS if not words or any(word in bug.name for word in words)]
    with environments() as installed:
        shown = {bug.name: show(bug, installed) for bug in chosen}
    print()
    for name, as_expected in shown.items():
        print(f"{'found, and gone where mended' if as_expected else 'NOT AS EXPECTED':30}{name}")
    sys.exit(not all(shown.values()))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--look"]:
        look(sys.argv[2])
    else:
        main(*sys.argv[1:])
