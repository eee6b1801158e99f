"""Every classic bug is found by default on both back-ends; its mended twin never fails."""

from __future__ import annotations

from functools import partial
from typing import Literal

import pytest

from aconcur.testing import Deadlock, explore, replay
from aconcur.testing._explore.search import kind_of
from tests.support.bugs import BUGS

SECONDS = 5.0  # in which each bug is found by default

Backend = Literal["asyncio", "trio"]

both = pytest.mark.parametrize("backend", ["asyncio", "trio"])
every_bug = pytest.mark.parametrize("name", BUGS)


EXPECTED: dict[str, type[BaseException]] = {
    "lost_update": AssertionError,
    "rare_lost_update": AssertionError,
    "dict_update_across_await": AssertionError,
    "check_then_act": AssertionError,
    "overdraft": AssertionError,
    "stale_read": AssertionError,
    "mutate_while_iterating": RuntimeError,
    "completion_order": AssertionError,
    "once_initialiser": KeyError,
    "cache_stampede": AssertionError,
    "rate_limit": AssertionError,
    "pool_double_hand_out": AssertionError,
    "abba": Deadlock,
    "philosophers": Deadlock,
    "reader_beside_writer": AssertionError,
    "over_released_semaphore": AssertionError,
    "callback_under_lock": Deadlock,
    "re_entered_flush": AssertionError,
    "lock_held_over_join": Deadlock,
    "missed_wake_up": Deadlock,
    "lost_wake_up": Deadlock,
    "stolen_wake_up": IndexError,
    "event_reset": Deadlock,
    "one_sentinel_many_workers": Deadlock,
    "double_close": AssertionError,
    "lost_cancellation": AssertionError,
    "cancelled_between": AssertionError,
    "half_closed_stream": AssertionError,
    "put_after_close": AssertionError,
    "drained_too_soon": AssertionError,
    "started_after_close": RuntimeError,
    "timeout_race": AssertionError,
}


def test_the_corpus_is_large_enough() -> None:
    assert EXPECTED.keys() == BUGS.keys()
    assert len(BUGS) >= 24


@both
@every_bug
def test_a_bug_is_found_by_default_and_its_token_brings_it_back_ten_times(
    name: str, backend: Backend
) -> None:
    scenario = partial(BUGS[name], fixed=False)
    found = explore(scenario, backend=backend)
    assert found.failure is not None, str(found)
    assert kind_of(found.failure.error) is EXPECTED[name]
    assert found.seconds < SECONDS
    runs = [replay(scenario, found.failure.token, backend=backend) for _ in range(10)]
    failures = [run.failure for run in runs if run.failure is not None]
    assert [kind_of(failure.error) for failure in failures] == [EXPECTED[name]] * 10
    assert len({str(failure) for failure in failures}) == 1


@both
@every_bug
def test_its_fixed_twin_never_fails(name: str, backend: Backend) -> None:
    exploration = explore(partial(BUGS[name], fixed=True), backend=backend, bound=2).check()
    assert exploration.completed == 2
