"""A sweep reads as a report."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace

import pytest

from aconcur.testing import CancelSweep, CancelSweepFailed, Leak, Place

PLACE = Place("app.py", 7, "upload", "await send()", "scenario")
LEAK = Leak("fd", "pipe:[7]", "native", 3, before=True, again=0, place=PLACE, cancels=1)
CLEAN = CancelSweep(
    backend="asyncio",
    hows=("scope", "native"),
    steps=4,
    cancels=28,
    dirty=0,
    leaks=(),
    unswept="",
    seconds=0.25,
    slowest_unwinding=0.0015,
)
DIRTY = replace(CLEAN, dirty=1, leaks=(LEAK,))


def test_a_clean_sweep() -> None:
    CLEAN.check()
    assert CLEAN.ok
    assert str(CLEAN) == (
        "28 cancels (scope and native) at 4 steps on asyncio: nothing left behind\n"
        "  0.25 s, slowest unwinding 1.5 ms"
    )


def test_a_dirty_sweep() -> None:
    assert not DIRTY.ok
    with pytest.raises(CancelSweepFailed) as raised:
        DIRTY.check()
    assert raised.value.sweep is DIRTY
    assert str(raised.value) == (
        "28 cancels (scope and native) at 4 steps on asyncio: 1 left something behind\n"
        "  0.25 s, slowest unwinding 1.5 ms\n"
        "  fd: pipe:[7]: 1 cancel, first natively before step 3\n"
        "    at app.py:7 in upload: `await send()` (task 'scenario')"
    )


@pytest.mark.parametrize(
    ("leak", "text"),
    [
        (replace(LEAK, how="scope", before=False), "1 cancel, first by a scope after step 3\n"),
        (replace(LEAK, cancels=2, again=1), "2 cancels, first natively before step 3 and again 1 "),
        (replace(LEAK, how=None, step=0, cancels=0), "fd: pipe:[7]: without any cancel"),
        (replace(LEAK, place=None), "at no line: the scenario never began"),
    ],
)
def test_a_leak_says_when_it_showed_first(leak: Leak, text: str) -> None:
    assert text in str(leak)


def test_results_are_values() -> None:
    with pytest.raises(FrozenInstanceError):
        LEAK.cancels = 2  # type: ignore[misc]
    assert replace(DIRTY) == DIRTY
