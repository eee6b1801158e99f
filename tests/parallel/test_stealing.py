"""What a busy worker has not begun goes to those who have nothing to do."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import anyio
import pytest

from aconcur.parallel import COLLECT, Pool, WorkerDied, open_pool
from tests.support import parallel_tasks as tasks
from tests.support.hands import KILLED, hands


def one_waits(path: Path, before: int, after: int) -> Iterator[tuple[str, int]]:
    """Yield items among which one waits for a file; nobody knows how many they are."""
    for number in range(before):
        yield "", number
    yield str(path), before
    for number in range(before + 1, before + 1 + after):
        yield "", number


@pytest.mark.parametrize("chunk", [None, 40])
async def test_items_behind_a_long_one_are_done_by_others(
    pool: Pool, tmp_path: Path, chunk: int | None
) -> None:
    go, log = tmp_path / "go", tmp_path / "log"
    found: list[int] = []
    # What was done before it in its chunk waits for it, in the answer; what comes after does not.
    # A limit has its worker begin items one by one: quick ones would be begun some at a time.
    before = 10 * chunk if chunk else 0
    with anyio.fail_after(30):
        items = one_waits(go, before, 100)
        noted = partial(tasks.note_and_wait_for, str(log))
        async for number in pool.map(noted, items, ordered=False, chunk=chunk, timeout=600):
            found.append(number)
            if sum(one > before for one in found) == 100:
                go.touch()
    assert sorted(found) == list(range(before + 101))
    assert sorted(map(int, log.read_text().split())) == sorted(found)
    assert pool.statistics().died == pool.statistics().killed == 0


async def test_each_item_is_begun_once(pool: Pool, tmp_path: Path) -> None:
    for turn in range(8):
        go, log = tmp_path / f"go {turn}", tmp_path / f"log {turn}"
        noted = partial(tasks.note_and_wait_for, str(log))

        async with anyio.create_task_group() as group:

            async def open_the_gate(go: Path = go) -> None:
                await anyio.sleep(0.002 * turn)  # noqa: B023 - awaited in this turn
                go.touch()

            group.start_soon(open_the_gate)
            found = await pool.map(noted, one_waits(go, 30 * turn, 60)).collect()
        assert found == list(range(30 * turn + 61))
        assert sorted(map(int, log.read_text().split())) == found


async def test_who_dies_after_its_items_were_taken_back_is_blamed_alone(
    pool: Pool, tmp_path: Path
) -> None:
    go = tmp_path / "go"

    def die_late(pair: tuple[str, int]) -> int:
        tasks.wait_for(pair)
        return tasks.die_at(pair[1], [0])

    found: list[int] = []
    results = pool.map(
        die_late, one_waits(go, 0, 60), ordered=False, chunk=61, on_error=COLLECT, timeout=600
    )
    async for number in results:
        found.append(number)
        if len(found) == 60:
            go.touch()
    assert sorted(found) == list(range(1, 61))
    (failure,) = results.failures
    assert isinstance(failure.error, WorkerDied)
    assert failure.index == 0


async def test_a_death_at_what_was_cut_off_blames_nobody() -> None:
    async with hands(0) as crew:
        job = crew.begin(abs, iter(range(3)), chunk=3)
        chunk = job.next_chunk()
        assert chunk is not None
        assert job.take_back(chunk, 1) == 2
        # It had told of the second item, and seen then that it was called off.
        job.crashed(chunk, 1, 2, KILLED)
        assert [(one.start, one.items) for one in job.postponed] == [(0, [0]), (1, [1, 2])]
        assert not job.failures


async def test_a_map_may_be_left_while_its_items_are_taken_back(pool: Pool, tmp_path: Path) -> None:
    for turn in range(6):
        go = tmp_path / f"go {turn}"
        with anyio.move_on_after(0.001 * turn):
            await pool.map(tasks.wait_for, one_waits(go, 0, 60), chunk=20).collect()
        go.touch()
        assert await pool.map(tasks.square, range(50)).collect() == [n * n for n in range(50)]


async def test_a_call_waits_for_no_other_call(pool: Pool, tmp_path: Path) -> None:
    go = tmp_path / "go"
    async with anyio.create_task_group() as group:
        group.start_soon(pool.run, tasks.wait_for, (str(go), 1))
        for number in range(20):
            assert await pool.run(tasks.square, number) == number * number
        # Nothing of a map waits behind it either.
        found = await pool.map(tasks.square, range(3000)).collect()
        assert found == [number * number for number in range(3000)]
        go.touch()


async def test_replaced_workers_do_as_many_items_as_they_may(tmp_path: Path) -> None:
    go = tmp_path / "go"
    async with open_pool(2, start="fork", max_tasks_per_worker=50) as pool:
        found = []
        async for number in pool.map(tasks.wait_for, one_waits(go, 0, 300), ordered=False):
            found.append(number)
            if len(found) == 300:
                go.touch()
        assert sorted(found) == list(range(301))
