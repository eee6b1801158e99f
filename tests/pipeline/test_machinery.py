"""Executors, pools and threads that cannot work end the run; they fail no item."""

from __future__ import annotations

import functools
import logging
import os
import threading
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from aconcur.parallel import PoolClosed, open_pool
from aconcur.pipeline import SKIP, THREADS, Failure, Journal, Retry, stage
from tests.support.backends import BACKENDS
from tests.support.states import until_sync

# A fork server, the default from Python 3.14 on, runs on after its executor.
SPAWN = get_context("spawn")


def same(item: int) -> int:
    return item


def die_once(flag: str, item: int) -> int:
    if item == 3 and not Path(flag).exists():
        Path(flag).touch()
        os._exit(9)
    return item


# The loop here only waits: processes are started, and one is killed, whatever loop that is.
@pytest.mark.parametrize("anyio_backend", [BACKENDS["trio"]], ids=["trio"], indirect=True)
async def test_a_broken_executor_ends_the_run_and_the_next_run_does_the_rest(
    tmp_path: Path,
) -> None:
    journal = Journal(tmp_path / "run.db")
    work = functools.partial(die_once, str(tmp_path / "flag"))
    told: list[Failure] = []
    with ProcessPoolExecutor(1, mp_context=SPAWN) as executor:
        pipeline = stage(work, name="work", via=executor, on_error=told.append, retry=Retry(3))
        with pytest.raises(BrokenExecutor) as caught:  # noqa: ASYNC401
            await pipeline.run(range(30), journal=journal, unwrap=True)
    assert caught.value.__notes__ == ["stage 'work' cannot call its function any more"]
    assert told == []
    found = journal.statistics()
    assert (found.done, found.failed) == (3, 0)
    assert 1 <= found.again <= 2
    with ProcessPoolExecutor(1, mp_context=SPAWN) as executor:
        pipeline = stage(work, name="work", via=executor, on_error=told.append)
        await pipeline.run(range(30), journal=journal)
    found = journal.statistics()
    assert (found.done, found.failed, found.again) == (30, 0, 0)


async def test_a_closed_executor_ends_the_run() -> None:
    executor = ThreadPoolExecutor(1)
    executor.shutdown()
    told: list[Failure] = []
    with pytest.raises(RuntimeError, match="after shutdown"):
        await stage(same, via=executor, on_error=told.append).run([1, 2], unwrap=True)
    assert told == []


async def test_an_executor_that_cancels_its_calls_ends_the_run() -> None:
    executor, held = ThreadPoolExecutor(1), threading.Event()
    begun = threading.Event()

    def hold(_: int) -> None:
        begun.set()
        held.wait(30)

    def shut_down() -> None:
        begun.wait(30)
        executor.shutdown(wait=False, cancel_futures=True)
        held.set()

    closer = threading.Thread(target=shut_down)
    closer.start()
    with pytest.raises(ExceptionGroup) as caught:  # noqa: ASYNC401
        await stage(hold, workers=2, via=executor, on_error=SKIP).run([1, 2, 3])
    closer.join()
    # Workers that try to submit another call meet a closed executor.
    assert "executor cancelled the call" in repr(caught.value.exceptions) or all(
        "after shutdown" in str(error) for error in caught.value.exceptions
    )


async def test_a_closed_pool_ends_the_run() -> None:
    async with open_pool(1) as pool:
        pass
    with pytest.raises(PoolClosed):
        await stage(same, via=pool, on_error=SKIP).run(range(9), unwrap=True)


async def test_no_more_threads_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(RuntimeError, match="can't start new thread"):
        await stage(same, via=THREADS, on_error=SKIP).run([1], unwrap=True)


async def test_an_error_of_the_function_is_still_the_items() -> None:
    def fail(_: int) -> int:
        raise RuntimeError("cannot schedule new futures after shutdown")

    with ThreadPoolExecutor(1) as executor:
        for via in (executor, THREADS):
            report = await stage(fail, via=via, on_error=SKIP).run([1, 2])
            assert report.failed == 2


def test_threads_are_named_after_the_stage() -> None:
    names: set[str] = set()

    def work(_: int) -> None:
        names.add(threading.current_thread().name)

    stage(work, name="resize", via=THREADS).run_sync([1])
    assert names == {"resize 1"}
    until_sync(lambda: not [one for one in threading.enumerate() if one.name in names])


# ----------------------------------------------------------------- logging


async def test_attempts_are_logged_with_stage_item_and_attempt(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def fail(item: int) -> int:
        raise ValueError(item)

    caplog.set_level(logging.DEBUG, "aconcur.pipeline")
    await stage(fail, retry=Retry(2, backoff=0), on_error=SKIP).run([7])
    assert [(r.levelname, r.getMessage()) for r in caplog.records] == [
        ("INFO", "fail: 7 at attempt 1, retried in 0 s: ValueError(7)"),
        ("INFO", "fail: 7 at attempt 2, skipped: ValueError(7)"),
    ]
    assert [(r.stage, r.item, r.attempt) for r in caplog.records] == [  # type: ignore[attr-defined]
        ("fail", "7", 1),
        ("fail", "7", 2),
    ]
    caplog.clear()
    with pytest.raises(ValueError, match="8"):
        await stage(fail).run([8], unwrap=True)
    assert [r.levelname for r in caplog.records] == ["WARNING"]


async def test_nothing_is_printed_without_a_handler(capfd: pytest.CaptureFixture[str]) -> None:
    async def fail(item: int) -> int:
        raise ValueError(item)

    root = logging.getLogger()
    handlers, root.handlers[:] = list(root.handlers), []
    try:
        with pytest.raises(ValueError, match="8"):
            await stage(fail).run([8], unwrap=True)
    finally:
        root.handlers[:] = handlers
    assert capfd.readouterr().err == ""
