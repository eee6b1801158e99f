"""Every classic bug is found, by one token on both back-ends; its fixed twin is cleared."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import anyio
import pytest

from aconcur.testing import Deadlock, Exploration, explore, replay
from aconcur.testing._explore.api import Backend
from aconcur.testing._explore.search import kind_of
from tests.support.bugs import BUGS

SCHEDULES = 1100
SECONDS = 2.0  # a bug's share of the time of a test run

both = pytest.mark.parametrize("backend", ["asyncio", "trio"])
every_bug = pytest.mark.parametrize("name", BUGS)


@dataclass(frozen=True)
class Found:
    token: str
    kind: type[BaseException]
    schedules: int


# The same on both back-ends and on every version of Python: what a user may write down.
EXPECTED = {
    "lost_update": Found("1=1", AssertionError, 3),
    "rare_lost_update": Found("4=1", AssertionError, 6),
    "dict_update_across_await": Found("1=1", AssertionError, 3),
    "check_then_act": Found("1=1", AssertionError, 3),
    "overdraft": Found("1=1", AssertionError, 3),
    "stale_read": Found("1=1", AssertionError, 3),
    "mutate_while_iterating": Found("1=1", RuntimeError, 3),
    "completion_order": Found("0=1", AssertionError, 2),
    "once_initialiser": Found("1=1", KeyError, 3),
    "cache_stampede": Found("1=1", AssertionError, 4),
    "rate_limit": Found("1=1", AssertionError, 3),
    "pool_double_hand_out": Found("1=1,3=1", AssertionError, 8),
    "abba": Found("1=1", Deadlock, 3),
    "philosophers": Found("1=2", Deadlock, 5),
    "reader_beside_writer": Found("2=1", AssertionError, 6),
    "over_released_semaphore": Found("base", AssertionError, 1),
    "callback_under_lock": Found("0=1", Deadlock, 2),
    "re_entered_flush": Found("1=1", AssertionError, 3),
    "lock_held_over_join": Found("0=1,2=1", Deadlock, 5),
    "missed_wake_up": Found("0=1,2=1", Deadlock, 5),
    "lost_wake_up": Found("0=1,1=3", Deadlock, 16),
    "stolen_wake_up": Found("2=1,5=2", IndexError, 67),
    "event_reset": Found("0=1,3=1", Deadlock, 8),
    "one_sentinel_many_workers": Found("base", Deadlock, 1),
    "double_close": Found("1=1", AssertionError, 3),
    "lost_cancellation": Found("0=1", AssertionError, 2),
    "cancelled_between": Found("2=1", AssertionError, 4),
    "half_closed_stream": Found("base", anyio.BrokenResourceError, 1),
    "put_after_close": Found("0=2,1=1", AssertionError, 14),
    "drained_too_soon": Found("1=1", AssertionError, 3),
    "started_after_close": Found("0=1,1=1", RuntimeError, 4),
    "timeout_race": Found("base", AssertionError, 1),
}


def _found(exploration: Exploration) -> Found:
    failure = exploration.failure
    assert failure is not None, str(exploration)
    return Found(failure.token, kind_of(failure.error), failure.found_at)


def test_the_corpus_is_large_enough() -> None:
    assert EXPECTED.keys() == BUGS.keys()
    assert len(BUGS) >= 24


@both
@every_bug
def test_a_bug_is_found(name: str, backend: Backend) -> None:
    scenario = partial(BUGS[name], fixed=False)
    exploration = explore(scenario, backend=backend, bound=3, schedules=SCHEDULES)
    assert _found(exploration) == EXPECTED[name]
    assert exploration.seconds < SECONDS


@both
@every_bug
def test_its_fixed_twin_never_fails(name: str, backend: Backend) -> None:
    exploration = explore(partial(BUGS[name], fixed=True), backend=backend, bound=2).check()
    assert exploration.exhausted


@every_bug
def test_both_back_ends_agree_on_how_many_schedules_there_are(name: str) -> None:
    scenario = partial(BUGS[name], fixed=True)
    first, second = (explore(scenario, backend=backend) for backend in ("asyncio", "trio"))
    assert (first.schedules, first.exhausted) == (second.schedules, second.exhausted)


@both
@every_bug
def test_its_token_brings_the_same_error_ten_times(name: str, backend: Backend) -> None:
    scenario = partial(BUGS[name], fixed=False)
    runs = [replay(scenario, EXPECTED[name].token, backend=backend) for _ in range(10)]
    assert {_found(run).kind for run in runs} == {EXPECTED[name].kind}
    assert len({str(run.failure) for run in runs}) == 1
