"""Ways from a task to its parent: multiprocessing's objects, log records, a stop flag."""

from __future__ import annotations

import logging
import multiprocessing
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aconcur.parallel import Pool, StartMethod, open_pool
from tests.support import parallel_tasks as tasks
from tests.support.backends import on_one_loop
from tests.support.programs import run_program

pytestmark = pytest.mark.usefixtures("light_main_module")


# In a program of its own, because multiprocessing keeps descriptors to the end.
PROGRAM = """
import multiprocessing, queue
import anyio
from aconcur.parallel import open_pool

kept = []

def keep(*things):
    kept[:] = things

def try_lock():
    taken = kept[1].acquire(timeout=0.05)
    if taken:
        kept[1].release()
    return taken

def say(text):
    queue, _, value, event = kept
    with value.get_lock():
        value.value += 1
    queue.put(text)
    return event.is_set()

def put(queue, text):
    queue.put(text)

async def main():
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager:
        things = queue, lock, value, event = (
            context.Queue(), context.Lock(), context.Value("i", 5), context.Event()
        )
        proxy = manager.Queue()
        for start in ("exec", "forkserver", "fork", "spawn"):
            event.clear()
            async with open_pool(1, start=start, initializer=keep, initargs=things) as pool:
                with lock:
                    held = await pool.run(try_lock)
                said = [held, await pool.run(try_lock), await pool.run(say, start)]
                event.set()
                said += [await pool.run(say, "set"), value.value]
                await pool.run(put, proxy, "by proxy")
                await pool.map(put, [proxy] * 2, ["mapped"] * 2).collect()
            said += [await anyio.to_thread.run_sync(queue.get, True, 30) for _ in range(2)]
            said += [proxy.get(timeout=30) for _ in range(3)]
            print(*said)

if __name__ == "__main__":
    anyio.run(main)
"""


def test_multiprocessing_s_objects_and_proxies_connect_tasks_to_the_parent(tmp_path: Path) -> None:
    done = run_program(tmp_path, PROGRAM, "-Wignore::DeprecationWarning")
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        f"False True False True {value} {start} set by proxy mapped mapped"
        for value, start in ((7, "exec"), (9, "forkserver"), (11, "fork"), (13, "spawn"))
    ]


@on_one_loop
@pytest.mark.parametrize("method", ["exec", "forkserver", "spawn"])
async def test_an_object_of_the_fork_context_is_refused_with_the_remedy(
    method: StartMethod,
) -> None:
    lock = multiprocessing.get_context("fork").Lock()
    with pytest.raises(RuntimeError, match=r"fork context.*get_context\('spawn'\).*start='fork'"):
        async with open_pool(1, start=method, initializer=tasks.accept, initargs=(lock,)):
            pass


async def test_a_queue_as_an_argument_of_a_call_is_refused_with_the_remedy(pool: Pool) -> None:
    queue = multiprocessing.get_context("spawn").SimpleQueue()
    with pytest.raises(RuntimeError, match="inheritance") as caught:
        await pool.run(tasks.accept, queue)
    assert "in initargs=, or use a Manager's proxy" in caught.value.__notes__[0]
    queue.close()


class Kept(logging.Handler):
    """Keeps the records that it handles."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture
def kept() -> Iterator[Kept]:
    logger = logging.getLogger("tests.of.tasks")
    handler = Kept()
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield handler
    logger.removeHandler(handler)
    logger.setLevel(logging.NOTSET)


async def test_log_records_reach_the_parent_s_handlers_with_the_item(
    start: StartMethod, kept: Kept
) -> None:
    async with open_pool(1, start=start) as pool:
        await pool.map(tasks.log, range(3)).collect()
        await pool.run(tasks.log, 9)
    said = [(one.getMessage(), one.item_index, one.task) for one in kept.records]  # type: ignore[attr-defined]
    assert said == [(f"at {n}", n, "log") for n in range(3)] + [("at 9", None, "log")]
    assert all(one.process != os.getpid() for one in kept.records)
    assert "ZeroDivisionError" in (kept.records[0].exc_text or "")


async def test_log_records_of_coroutines_have_their_items(pool: Pool, kept: Kept) -> None:
    await pool.map(tasks.log_later, range(4)).collect()
    await pool.run_async(tasks.log_later, 9)
    said = sorted((one.getMessage(), one.item_index, one.task) for one in kept.records[:-1])  # type: ignore[attr-defined]
    assert said == [(f"at {n}", n, "log_later") for n in range(4)]
    last: Any = kept.records[-1]
    assert (last.getMessage(), last.item_index, last.task) == ("at 9", None, "log_later")


LOGGING = """
import logging
import anyio
from aconcur.parallel import open_pool

log = logging.getLogger(__name__)

class Printer(logging.Handler):
    def emit(self, record):
        print(record.name, record.getMessage(), record.item_index)

def work(number):
    log.debug("at %d", number)

async def main():
    log.addHandler(Printer())
    log.setLevel(logging.DEBUG)
    for start in ("exec", "forkserver", "fork", "spawn"):
        async with open_pool(1, start=start) as pool:
            await pool.map(work, [5]).collect()

if __name__ == "__main__":
    anyio.run(main)
"""


def test_the_logger_of_main_is_the_same_in_a_worker(tmp_path: Path) -> None:
    done = run_program(tmp_path, LOGGING)
    assert (done.stdout, done.stderr) == ("__main__ at 5 0\n" * 4, "")


@on_one_loop
async def test_records_below_the_parent_s_level_stay_in_the_worker(kept: Kept) -> None:
    logging.getLogger("tests.of.tasks").setLevel(logging.ERROR)
    async with open_pool(1) as pool:
        await pool.run(tasks.log, 1)
    assert kept.records == []


@on_one_loop
async def test_records_are_not_forwarded_if_not_asked_for(kept: Kept) -> None:
    async with open_pool(1, forward_logs=False) as pool:
        await pool.run(tasks.log, 1)
    assert kept.records == []


async def test_a_generator_as_initializer_is_ended_with_its_worker(
    start: StartMethod, tmp_path: Path
) -> None:
    note = tmp_path / "note"
    async with open_pool(1, start=start, initializer=tasks.hold, initargs=(str(note),)) as pool:
        assert await pool.run(tasks.square, 3) == 9
        assert note.read_text() == "opened "
    assert note.read_text() == "opened closed "
