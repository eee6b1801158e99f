"""A pool without an event loop."""

from __future__ import annotations

import itertools
import math
import time
from concurrent.futures import CancelledError

import pytest

from aconcur.parallel import COLLECT, PoolClosed, TaskTimeout, open_pool_sync
from tests.support import parallel_tasks as tasks
from tests.support.states import until_sync

pytestmark = pytest.mark.usefixtures("light_main_module")


def test_calls_maps_and_shared_values_work_in_a_plain_program() -> None:
    with open_pool_sync(2, start="fork") as pool:
        assert pool.run(math.gcd, 12, 18) == 6
        assert pool.run(pow, 2, exp=5) == 32
        assert list(pool.map(tasks.square, range(3000))) == [n * n for n in range(3000)]
        assert list(pool.map(pow, [2, 3], [2, 2], ordered=True)) == [4, 9]
        shared = pool.share([5, 6])
        assert pool.run(tasks.get_shared, shared, 1)[0] == 6
        assert repr(pool) == "<SyncPool: 0/2 busy>"
        assert pool.statistics().done == 3005
    with pytest.raises((PoolClosed, RuntimeError)):
        pool.run(math.gcd, 1, 1)


def test_leaving_the_loop_ends_an_endless_map() -> None:
    drawn = itertools.count()
    with open_pool_sync(1, start="fork") as pool:
        for one in pool.map(tasks.square, drawn, buffer=20):
            if one == 100:
                break
        until_sync(lambda: not pool.statistics().maps)
        assert next(drawn) <= 60


def test_a_future_of_submit_gives_the_result_and_stops_the_call() -> None:
    with open_pool_sync(1, start="fork") as pool:
        assert pool.submit(tasks.square, 3).result(60) == 9
        call = pool.submit(time.sleep, 60)
        until_sync(lambda: pool.statistics().busy)
        call.cancel()
        with pytest.raises(CancelledError):
            call.result(60)
        until_sync(lambda: pool.statistics().killed)
        assert pool.run(tasks.square, 4) == 16


def test_errors_are_those_of_the_pool() -> None:
    with open_pool_sync(1, start="fork") as pool:
        with pytest.raises(tasks.TwoArguments) as caught:
            pool.run(tasks.fail_at_seven, 7)
        assert caught.value.__notes__ == ["in fail_at_seven: (7,)"]
        with pytest.raises(TaskTimeout):
            pool.run(time.sleep, 60, timeout=0.1)
        assert list(pool.map(tasks.fail_at_seven, range(9), on_error=COLLECT)) == [
            *range(7),
            8,
        ]
        with pytest.raises(tasks.TwoArguments):
            list(pool.map(tasks.fail_at_seven, range(9)))
    with pytest.raises(ValueError, match="workers must be at least 1, not 0"), open_pool_sync(0):
        pass


def test_an_error_of_the_block_is_raised_as_it_is() -> None:
    with pytest.raises(LookupError, match="mine"), open_pool_sync(1, start="fork"):
        raise LookupError("mine")
