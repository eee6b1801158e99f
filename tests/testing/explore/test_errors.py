"""Every error is a fact and a remedy, with the values in it."""

from __future__ import annotations

import pickle

from aconcur.errors import AconcurError
from aconcur.testing import (
    Deadlock,
    Livelock,
    NotReproducibleError,
    RealInputOutputError,
    Waiting,
)

WAITS = Waiting("dine#1", "Lock.acquire", "forks[1]", "dine#2", "bugs.py:60 in dine")


def test_a_wait_reads_as_a_sentence() -> None:
    assert str(WAITS) == (
        "dine#1 waits in Lock.acquire() on 'forks[1]', held by dine#2, at bugs.py:60 in dine"
    )
    nobody = Waiting("main", "Event.wait", "event", "", "a.py:1 in main")
    assert str(nobody) == "main waits in Event.wait() on 'event' at a.py:1 in main"
    assert str(Waiting("main", "", "", "", "a.py:1 in main")) == "main waits at a.py:1 in main"


def test_a_deadlock_lists_the_waits_and_the_cycle() -> None:
    error = Deadlock((WAITS,), ("dine#1", "dine#2", "dine#1"))
    assert str(error).splitlines() == [
        "every task waits, and none can wake another",
        str(WAITS),
        "cycle: dine#1 -> dine#2 -> dine#1",
    ]
    assert isinstance(error, AssertionError)
    assert "cycle" not in str(Deadlock((WAITS,)))


def test_a_livelock_says_what_is_busy() -> None:
    error = Livelock(500, ("poll#1 at a.py:3 in poll",))
    assert str(error).splitlines() == [
        "no end after 500 steps: raise max_steps= if the scenario needs more",
        "poll#1 at a.py:3 in poll",
    ]
    assert isinstance(error, AssertionError)


def test_what_is_no_finding_is_an_error_of_ours() -> None:
    assert issubclass(NotReproducibleError, AconcurError)
    assert issubclass(RealInputOutputError, AconcurError)
    error = NotReproducibleError(4, 3, 2)
    assert error.point == 4
    assert "choice point 4 had 3 tasks ready before and has 2 now" in str(error)
    assert "loop.add_reader() is real" in str(RealInputOutputError("loop.add_reader"))


def test_a_wait_can_be_sent_to_another_process() -> None:
    assert pickle.loads(pickle.dumps(WAITS)) == WAITS
