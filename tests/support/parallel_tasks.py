"""What the tests let workers do: a worker finds it here by name."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Any, NoReturn

import anyio
import anyio.lowlevel

from aconcur.parallel import COLLECT as COLLECT
from aconcur.parallel import Pool, Shared, TaskCancelled, open_pool
from aconcur.parallel import WorkerDied as WorkerDied


class TwoArguments(Exception):  # noqa: N818
    """Cannot be made from its ``args``."""

    def __init__(self, what: str, *, code: int) -> None:
        super().__init__(f"{what} {code}")
        self.what, self.code = what, code


class Unpicklable(Exception):  # noqa: N818
    def __init__(self) -> None:
        super().__init__("as said")
        self.lock = Lock()


class Unequal:
    """Is equal to nothing but itself."""


class Incomparable:
    """Is as an array: whether two are equal cannot be said in a word."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        raise ValueError("the truth value is ambiguous")


def raise_it(error: BaseException) -> NoReturn:
    raise error


def fork_and_return(_: object) -> bool:
    """Return in the worker, after its fork has ended, and in the fork before."""
    pid = os.fork()
    if pid:
        os.waitpid(pid, 0)
    return bool(pid)


class ReadOnlyThere:
    """Can be pickled and not be read again but where it was made."""

    def __reduce__(self) -> tuple[object, ...]:
        return _only_in, (os.getpid(),)


def _only_in(pid: int) -> int:
    if os.getpid() != pid:
        raise ValueError(f"made in another process than {os.getpid()}")
    return pid


def make_read_only_there(_: object) -> ReadOnlyThere:
    return ReadOnlyThere()


class Fatal:
    """Kills who reads it."""

    def __reduce__(self) -> tuple[object, ...]:
        return _die, ()


def _die() -> NoReturn:
    os._exit(9)


def square(number: int) -> int:
    return number * number


def pid_of(_: object = None) -> int:
    return os.getpid()


def sleep_then_square(pair: tuple[float, int]) -> int:
    time.sleep(pair[0])
    return pair[1] * pair[1]


def fail_at_seven(number: int) -> int:
    if number % 10 == 7:
        raise TwoArguments("seven", code=number)
    return number


def die_at(number: int, at: Sequence[int]) -> int:
    if number in at:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def exit_with(code: int) -> NoReturn:
    os._exit(code)


def system_exit(code: int) -> NoReturn:
    sys.exit(code)


def raise_unpicklable() -> NoReturn:
    raise Unpicklable


def stop_iteration(number: int) -> int:
    if number == 3:
        raise StopIteration
    return number


def sleep_at(number: int, at: int, seconds: float) -> int:
    if number == at:
        time.sleep(seconds)
    return number


def note_then_sleep(folder: str, seconds: float) -> None:
    """Leave a file named after this process, then sleep."""
    (Path(folder) / str(os.getpid())).touch()
    time.sleep(seconds)


def fail_once(folder: str, number: int) -> int:
    """Fail for each number the first time."""
    seen = Path(folder) / str(number)
    if not seen.exists():
        seen.touch()
        raise ValueError(number)
    return number


def blob(size: int) -> bytes:
    return bytes(size)


def get_shared(shared: Shared[list[int]], number: int) -> tuple[int, int]:
    return shared.get()[number], id(shared.get())


def niceness() -> int:
    return os.nice(0)


def session_and_fds() -> tuple[int, int, int]:
    return os.getpid(), os.getsid(0), os.getpgrp()


def start_a_child(folder: str) -> None:
    """Start a process that outlives us if nobody ends it, and sleep."""
    child = os.fork()
    if not child:
        (Path(folder) / f"child-{os.getpid()}").touch()
        time.sleep(60)
        os._exit(0)
    time.sleep(60)


INITIALIZED: list[int] = []


def initialize(value: int) -> None:
    INITIALIZED.append(value)


def initialized(_: object = None) -> list[int]:
    return INITIALIZED


def fail_to_initialize() -> NoReturn:
    raise TwoArguments("no", code=1)


async def coroutine(_: object) -> None:
    """No worker calls this."""


def run_a_loop(backend: str) -> int:
    async def five() -> int:
        await anyio.lowlevel.checkpoint()
        return 5

    return anyio.run(five, backend=backend)


def exit_at_three(number: int) -> int:
    if number == 3:
        os._exit(1)
    return number


def sleep_long_at_three(number: int) -> int:
    if number == 3:
        time.sleep(60)
    return number


def note_and_wait_for(log: str, pair: tuple[str, int]) -> int:
    """Note the number of an item that is begun, then do as ``wait_for``."""
    with open(log, "a") as file:  # noqa: PTH123 - a short write is whole
        file.write(f"{pair[1]}\n")
    return wait_for(pair)


def wait_for(pair: tuple[str, int]) -> int:
    """Wait until a file exists, if one is named; tell who has been called."""
    path, number = pair
    if path:
        Path(f"{path}.begun").touch()
        while not Path(path).exists():
            time.sleep(0.005)
    return number


class Interrupts:
    """Raises what is no Exception when it is pickled."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __reduce__(self) -> tuple[object, ...]:
        raise self.error


def make_interrupts(number: int) -> object:
    return Interrupts(KeyboardInterrupt("pickled")) if number == 5 else number


def map_inside(count: int) -> list[int]:
    """Open a pool in a worker."""

    async def inner() -> list[int]:
        async with open_pool(1, start="fork") as pool:
            return await pool.map(square, range(count)).collect()

    return anyio.run(inner)


class Scale:
    """Is made with a factor and called with a number."""

    def __init__(self, factor: int = 1) -> None:
        self.factor = factor

    def __call__(self, number: int) -> int:
        return self.factor * number


def fail_always(_: object) -> NoReturn:
    raise ValueError("always")


def raise_a_group() -> NoReturn:
    inner = ExceptionGroup("inner", [ValueError(1)])
    raise ExceptionGroup("all kinds", [TwoArguments("two", code=5), Unpicklable(), inner])


def accept(_: object) -> None:
    """Do nothing with it."""


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def work_in_a_folder(parent: str) -> str:
    """Hold a temporary folder for long; without a name do nothing."""
    if parent:
        with tempfile.TemporaryDirectory(dir=parent) as folder:
            (Path(folder) / "inside").touch()
            time.sleep(60)
    return parent


def refuse_to_end(_: str) -> None:
    while True:
        with suppress(TaskCancelled):
            time.sleep(60)


def signal_itself() -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(60)


def log(number: int) -> None:
    import logging

    logger = logging.getLogger("tests.of.tasks")
    try:
        _ = 1 / 0
    except ZeroDivisionError:
        logger.warning("at %s", number, exc_info=True, extra={"cannot": Lock()})
    logger.debug("is not handled")


async def log_later(number: int) -> None:
    import asyncio

    await asyncio.sleep(0)
    await asyncio.to_thread(log, number)


def return_a_lock_or_fail(number: int) -> object:
    """Return a result that cannot be pickled at even positions, and fail at every third."""
    if number % 3 == 1:
        raise ValueError(number)
    return Lock() if number % 2 == 0 else number


def hold(path: str) -> Iterator[None]:
    """Note when it is opened and closed: an initializer that holds a resource."""
    with open(path, "a") as file:  # noqa: PTH123 - runs in a worker
        file.write("opened ")
    yield
    with open(path, "a") as file:  # noqa: PTH123
        file.write("closed ")


def holds(number: int | str) -> bool:
    """Return whether this worker has a shared value of this number."""
    kept = sys.modules["aconcur._pool_worker.kept"]
    try:
        kept.kept(number)
    except LookupError:
        return False
    return True


async def assert_not_held(pool: Pool, number: int | str) -> None:
    assert not await pool.run(holds, number)


def initialized_with(value: object) -> bool:
    return [value] == INITIALIZED


MET: dict[str, Any] = {}


async def meet(number: int, *, of: int) -> int:
    """Return when as many calls as ``of`` have come to this process."""
    import asyncio

    MET.setdefault("came", set()).add(number)
    while len(MET["came"]) < of:
        await asyncio.sleep(0.001)
    return number


async def fail_later(number: int) -> NoReturn:
    import asyncio

    await asyncio.sleep(0)
    raise TwoArguments("later", code=number)


async def wait_and_note(path: str) -> None:
    import asyncio

    Path(path).write_text("begun")
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        Path(path).write_text("cancelled")
        raise


async def exit_later(code: int) -> NoReturn:
    import asyncio

    await asyncio.sleep(0)
    os._exit(code)


async def fail_later_if_even(number: int) -> int:
    await anyio.lowlevel.checkpoint()
    if not number % 2:
        raise ValueError(number)
    return number


async def add_later(left: int, right: int) -> int:
    await anyio.lowlevel.checkpoint()
    return left + right


async def return_later(item: Any) -> Any:  # noqa: ANN401
    await anyio.lowlevel.checkpoint()
    return item


async def sleep_later(seconds: float) -> float:
    await anyio.sleep(seconds)
    return seconds


async def exit_later_if_7(number: int) -> int:
    if number == 7:
        await anyio.sleep(0.01)
        os._exit(3)
    await anyio.sleep(0.1)  # so that it is under way whenever a 7 beside it exits
    return number


async def wait_once(item: tuple[str, int]) -> int:
    """Wait long, but only until the file that the first call makes exists."""
    path, number = item
    if not Path(path).exists():
        Path(path).touch()
        await anyio.sleep(60)
    return number


class Deaf:
    """Is interrupted in its ``__del__``, where an exception ends nothing."""

    def __init__(self, note: str) -> None:
        self.note = note

    def __del__(self) -> None:
        Path(self.note).touch()
        time.sleep(60)


def lose_an_exception(note: str) -> None:
    """Let the first TaskCancelled be raised where it ends nothing."""
    Deaf(note)


def lose_a_signal(note: str) -> None:
    """Take the first SIGTERM like a signal that comes just before a system call that blocks."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    Path(note).touch()
    signal.sigwait({signal.SIGTERM})
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})


def hold_a_file(held: str, note: str, lose: Callable[[str], None]) -> None:
    """Hold a file for long, after the first interrupt was lost."""
    try:
        Path(held).touch()
        lose(note)
        time.sleep(60)
    finally:
        Path(held).unlink()
