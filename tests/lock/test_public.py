"""The door: what it exports, what it costs to import, and the types it promises."""

from __future__ import annotations

import subprocess
import sys
from typing import assert_type

import pytest

from aconcur import AconcurError, lock
from aconcur.lock import Cell, Counter, Guarded, ThreadGuarded


@pytest.mark.parametrize("name", lock.__all__)
def test_every_export_is_there_and_documented(name: str) -> None:
    exported = getattr(lock, name)
    assert exported.__doc__
    if name.endswith("Error"):
        assert issubclass(exported, AconcurError)
    elif "Guarded" in name and "Statistics" not in name:
        for promise in ("**Cancelled**", "**Cost**: about"):
            assert promise in exported.__doc__


def test_the_door_lists_all_that_it_imports() -> None:
    # pytest rewrites the asserts of its plugins' packages, and adds names with an @.
    public = {name for name in vars(lock) if not name.startswith(("_", "@"))}
    assert public == set(lock.__all__)
    assert list(lock.__all__) == sorted(lock.__all__)


def test_it_loads_no_back_end_of_its_own_accord() -> None:
    code = "import sys, aconcur.lock; print('trio' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


async def later(text: str) -> str:
    return text + "."


async def test_types_are_those_of_the_value() -> None:
    # mypy reads this file too: a type that it cannot tell fails there.
    for guarded in (Guarded("a"), ThreadGuarded("a")):
        async with guarded as cell:
            assert_type(cell, Cell[str])
            assert_type(cell.value, str)
        assert_type(await guarded.update(later), str)
        assert_type(await guarded.update(lambda text: text + "!"), str)
        assert_type(await guarded.update(str.upper), str)
    number = ThreadGuarded[int | None](None)
    assert_type(await number.update(lambda _: 3), int | None)
    assert_type(await Counter().increment(), int)
    assert_type(Counter().count, int)


def test_types_for_threads() -> None:
    guarded = ThreadGuarded([1])
    with guarded as cell:
        assert_type(cell.value, list[int])
    assert_type(guarded.update_sync(lambda numbers: [*numbers, 2]), list[int])


async def test_wrong_types_are_noticed() -> None:
    guarded = Guarded(1)
    with pytest.raises(TypeError):
        await guarded.update(str.upper)  # type: ignore[arg-type]
    assert await guarded.update(lambda _: "no") == "no"  # type: ignore[arg-type, return-value, comparison-overlap]
    with pytest.raises(AttributeError):
        _ = guarded.value  # type: ignore[attr-defined]
    with pytest.raises((TypeError, AttributeError)), guarded:  # type: ignore[attr-defined]
        pass
