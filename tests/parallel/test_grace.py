"""A task that is cancelled or late may clean up before its worker is killed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from aconcur.parallel import StartMethod, TaskTimeout, open_pool
from tests.support import parallel_tasks as tasks
from tests.support.backends import on_one_loop
from tests.support.states import BOUND, until

LONG = 60.0


def left(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def test_a_late_call_cleans_up_and_its_worker_lives_on(
    start: StartMethod, tmp_path: Path
) -> None:
    async with open_pool(1, start=start, grace=LONG) as pool:
        with pytest.raises(TaskTimeout, match=r"0\.2 s"):
            await pool.run(tasks.work_in_a_folder, str(tmp_path), timeout=0.2)
        assert left(tmp_path) == []
        assert await pool.run(tasks.square, 3) == 9
        assert (pool.statistics().killed, pool.statistics().died) == (0, 0)


async def test_a_late_item_is_the_only_one_that_fails(tmp_path: Path) -> None:
    folders = ["", str(tmp_path), ""]
    async with open_pool(1, start="fork") as pool:
        results = pool.map(
            tasks.work_in_a_folder, folders, timeout=0.2, grace=LONG, on_error=tasks.COLLECT
        )
        assert await results.collect() == ["", ""]
        assert [(one.index, type(one.error)) for one in results.failures] == [(1, TaskTimeout)]
        assert pool.statistics().killed == 0
    assert left(tmp_path) == []


async def test_a_cancelled_call_cleans_up(tmp_path: Path) -> None:
    async with open_pool(1, start="fork", grace=LONG) as pool:
        async with anyio.create_task_group() as group:
            group.start_soon(pool.run, tasks.work_in_a_folder, str(tmp_path))
            await until(lambda: [*tmp_path.glob("*/inside")])
            group.cancel_scope.cancel()
        await until(lambda: not left(tmp_path))
        assert await pool.run(tasks.square, 3) == 9
        assert pool.statistics().killed == 0


@pytest.mark.parametrize(
    "lose",
    [tasks.lose_an_exception, tasks.lose_a_signal],
    ids=["raised in a __del__", "signal taken by other code"],
)
@pytest.mark.parametrize("end", ["cancelled", "late", "pool left"])
async def test_a_cancellation_that_is_lost_comes_again(
    lose: Callable[[str], None], end: str, tmp_path: Path
) -> None:
    held, note = tmp_path / "held", tmp_path / "note"
    async with open_pool(1, start="fork", grace=BOUND) as pool:
        timeout = 0.1 if end == "late" else None
        call = pool.submit(tasks.hold_a_file, str(held), str(note), lose, timeout=timeout)
        await until(note.exists)
        if end == "cancelled":
            call.cancel()
        if end != "pool left":
            with anyio.fail_after(BOUND):
                assert await pool.run(tasks.square, 3) == 9
            assert pool.statistics().killed == 0
    assert not held.exists()


@on_one_loop
@pytest.mark.parametrize("more", [[], [range(3)]], ids=["last", "not last"])
async def test_a_function_in_c_that_hears_of_it_too_late_keeps_its_result(
    more: list[range],
) -> None:
    items = [range(5_000_000), *more]
    async with open_pool(1, start="fork") as pool:
        results = pool.map(sum, items, timeout=0.02, grace=LONG, on_error=tasks.COLLECT)
        with anyio.fail_after(BOUND):
            assert await results.collect() == [sum(item) for item in items]
        assert (results.failures, pool.statistics().killed) == ([], 0)


async def test_tasks_clean_up_when_the_pool_is_left_by_an_error(tmp_path: Path) -> None:
    with pytest.raises(LookupError):  # noqa: PT012 - the block raises it
        async with open_pool(1, start="fork", grace=LONG) as pool:
            pool.submit(tasks.work_in_a_folder, str(tmp_path))
            await until(lambda: [*tmp_path.glob("*/inside")])
            raise LookupError
    assert left(tmp_path) == []


async def test_a_task_that_goes_on_is_killed_when_its_grace_is_over(tmp_path: Path) -> None:
    async with open_pool(1, start="fork") as pool:
        with pytest.raises(TaskTimeout):
            await pool.run(tasks.refuse_to_end, str(tmp_path), timeout=0.1, grace=0.1)
        assert pool.statistics().killed == 1
        assert await pool.run(tasks.square, 3) == 9


async def test_without_grace_the_worker_is_killed_at_once(tmp_path: Path) -> None:
    async with open_pool(1, start="fork") as pool:
        with pytest.raises(TaskTimeout):
            await pool.run(tasks.work_in_a_folder, str(tmp_path), timeout=0.2)
        assert pool.statistics().killed == 1
    assert len(left(tmp_path)) == 1


async def test_a_signal_of_another_program_ends_a_worker() -> None:
    async with open_pool(1, start="fork") as pool:
        with pytest.raises(tasks.WorkerDied, match="SIGTERM"):
            await pool.run(tasks.signal_itself)


async def test_a_grace_of_the_wrong_kind_is_named() -> None:
    with pytest.raises(ValueError, match="grace must be at least 0 seconds, not -1"):
        async with open_pool(1, grace=-1):
            pass
