"""What a sweep does to the collector of garbage, and how it leaves it."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from aconcur.testing._leaks.cleanup import young_garbage_only


@pytest.fixture
def frozen_heap() -> Iterator[None]:
    """Leave the heap frozen, as this suite has it, whatever a test does."""
    yield
    gc.freeze()


class Ring:
    """Garbage that only a collection finds."""

    def __init__(self) -> None:
        self.itself = self


def rings() -> int:
    return sum(type(thing) is Ring for thing in gc.get_objects())


@pytest.mark.usefixtures("frozen_heap")
@pytest.mark.parametrize("frozen", [False, True])
def test_the_heap_is_frozen_afterwards_if_it_was_before(frozen: bool) -> None:
    gc.unfreeze()
    if frozen:
        gc.freeze()
    with young_garbage_only():
        assert gc.get_freeze_count()
    assert bool(gc.get_freeze_count()) is frozen


def test_what_the_block_makes_is_collected_in_it() -> None:
    with young_garbage_only():
        Ring()
        assert rings() == 1
        gc.collect()
        assert rings() == 0
