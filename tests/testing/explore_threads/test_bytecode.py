"""What is left out of the points commutes; what is not is found."""

from __future__ import annotations

import dis
import linecache
import threading
from collections.abc import Callable, Iterator
from types import CodeType
from typing import Any

import pytest

from aconcur.testing import explore_threads
from aconcur.testing._explore_threads.bytecode import backward_jumps, resumes, visible
from tests.testing.explore_threads.thread_bugs import together


def _names(function: Callable[..., object]) -> list[str]:
    code = function.__code__
    points = visible(code)
    return [i.opname for i in dis.get_instructions(code) if i.offset in points]


def _locals_only(first: int) -> int:
    second = first + 1
    for _ in (1, 2):
        second = second - 1
    return second if second is not None else first


def _of_a_comparison(one: str, other: str) -> object:
    return 1 if one is other and one not in other else 2


def test_what_stays_in_its_frame_is_no_point() -> None:
    assert set(_names(_locals_only)) == {"GET_ITER", "FOR_ITER"}
    assert _names(_of_a_comparison) == ["CONTAINS_OP"]


_limit = 1


def _global_bound_once() -> int:
    return _limit


_total = 0


def _change() -> None:
    global _total
    _total = _total + 1


def test_a_global_is_a_point_if_a_function_changes_it() -> None:
    assert _names(_global_bound_once) == []
    assert _names(_change) == ["LOAD_GLOBAL", "STORE_GLOBAL"]


def test_without_a_source_every_name_may_change(monkeypatch: pytest.MonkeyPatch) -> None:
    # From 3.13 on `python -c` leaves its source under this name.
    monkeypatch.setitem(linecache.cache, "<string>", (9, None, ["name = 1\n"], "<string>"))
    space: dict[str, Any] = {}
    exec("def read(): return name", space)
    assert _names(space["read"]) == ["LOAD_GLOBAL"]


def test_where_generators_resume_is_known() -> None:
    def generator() -> Iterator[int]:
        yield 1
        yield from ()

    code = generator.__code__
    found = [i for i in dis.get_instructions(code) if i.opname == "RESUME"]
    assert [resumes(code, i.offset) for i in found] == [
        i.arg is not None and i.arg & 3 < 2 for i in found
    ]
    assert {resumes(code, i.offset) for i in found} == {True, False}


def test_backward_jumps_lead_backward() -> None:
    code: CodeType = _locals_only.__code__
    jumps = backward_jumps(code)
    assert jumps
    assert all(target < at for at, target in jumps.items())


# -- races that need a point before one instruction each


def a_global() -> None:
    global _total
    _total = 0
    together(_change, _change)
    assert _total == 2


def a_cell() -> None:
    total = 0

    def change() -> None:
        nonlocal total
        total = total + 1

    together(change, change)
    assert total == 2


def an_item() -> None:
    totals = {"a": 0}

    def change() -> None:
        totals["a"] += 1

    together(change, change)
    assert totals == {"a": 2}


def a_truth() -> None:
    items = [1]

    def take() -> None:
        if items:
            items.pop()

    together(take, take)


def a_list_in_place() -> None:
    rows: list[int] = []

    def grow() -> None:
        for row in rows:
            assert row != 7 or len(rows) < 3
        rows.append(7)

    together(grow, grow, grow, grow)


def a_variable_bound_late() -> None:
    def read() -> None:
        assert late

    thread = threading.Thread(target=read)
    thread.start()
    late = True
    thread.join()


def a_slot() -> None:
    class Slot:
        __slots__ = ("value",)

        def __init__(self) -> None:
            self.value = 0

    slot = Slot()

    def change() -> None:
        value = slot.value
        slot.value = value + 1

    together(change, change)
    assert slot.value == 2


def a_length() -> None:
    items = [1, 2]

    def last() -> None:
        size = len(items)
        if size:
            del items[size - 1]

    together(last, last)


def a_display() -> None:
    items: list[int] = []
    seen: list[list[int]] = []

    def copy() -> None:
        seen.append([*items, *items])

    together(copy, lambda: items.append(1))
    assert len(seen[0]) % 2 == 0


RACES = [
    a_global, a_cell, an_item, a_truth, a_list_in_place, a_variable_bound_late, a_slot, a_length,
    a_display,
]  # fmt: skip


@pytest.mark.parametrize("race", RACES)
def test_a_race_is_found(race: Callable[[], None]) -> None:
    found = explore_threads(race, grain="opcode")
    assert found.failure is not None, str(found)
    assert found.failure.deviations <= 2
