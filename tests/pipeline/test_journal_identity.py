"""A journal gives back the results of the pipeline and the items that it recorded, or refuses."""

from __future__ import annotations

import enum
import math
import sqlite3
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from aconcur.pipeline import SKIP, Journal, JournalError, Pipeline, stage
from aconcur.process import Command


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "run.db")


class Scale:
    def __init__(self, factor: int) -> None:
        self.factor = factor

    def __call__(self, item: int) -> int:
        return item * self.factor


def same(item: Any) -> Any:  # noqa: ANN401
    return item


def negative(item: int) -> int:
    return -item


# ------------------------------------------------------------- whose it is


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda factor: lambda item: item * factor, "<lambda>"),
        (lambda factor: partial(pow, factor), "pow"),
        (lambda factor: partial(partial(pow), factor), "pow"),
        (Scale, "Scale"),
    ],
    ids=["lambda", "partial", "nested partial", "object"],
)
@pytest.mark.parametrize("where", ["map", "filter", "flat_map", "merged"])
async def test_functions_that_share_a_name_are_refused_until_they_have_one(
    journal: Journal, make: Callable[[int], Callable[[int], Any]], name: str, where: str
) -> None:
    def pipeline(factor: int, **options: Any) -> Pipeline[int, Any]:  # noqa: ANN401
        if where == "merged":
            return stage(same).merge(stage(make(factor), **options).fed_by([10]))
        add: Any = getattr(stage(same), where)
        function = make(factor)
        if where == "flat_map":
            return add(_listing(function), **options)  # type: ignore[no-any-return]
        return add(function, **options)  # type: ignore[no-any-return]

    with pytest.raises(JournalError, match=f"stage '{name}' has no name of its own.*name=.*of="):
        await pipeline(2).run([1, 2], journal=journal)
    assert not journal.path.exists() or journal.path.stat().st_size == 0 or _about(journal) == {}
    await pipeline(2, name="double").collect([1, 2], journal=journal)
    with pytest.raises(JournalError, match="is a journal of another pipeline"):
        await pipeline(3, name="triple").collect([1, 2], journal=journal)
    other = Journal(f"{journal.path}2", of="factor 2")
    await pipeline(2).collect([1, 2], journal=other)
    with pytest.raises(JournalError, match="was begun for 'factor 2', not for 'factor 3'"):
        await pipeline(3).collect([1, 2], journal=Journal(other.path, of="factor 3"))


def _listing(function: Callable[[int], Any]) -> Any:  # noqa: ANN401
    """Return a function of the same kind that returns a list."""
    if isinstance(function, Scale):

        class Several(Scale):
            def __call__(self, item: int) -> Any:  # noqa: ANN401
                return [super().__call__(item)]

        Several.__name__ = "Scale"
        return Several(function.factor)
    if isinstance(function, partial):
        return partial(_pow_listed, *function.args)
    return lambda item: [function(item)]


def _pow_listed(base: int, item: int) -> list[int]:
    return [base**item]


_pow_listed.__name__ = "pow"


def _about(journal: Journal) -> dict[str, str]:
    with closing(sqlite3.connect(journal.path)) as connection:
        return dict(connection.execute("SELECT name, value FROM about"))


def odd(item: int) -> bool:
    return item % 2 == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (stage(same).map(odd), stage(same).filter(odd)),
        (
            stage(same).merge(stage(negative).fed_by([7])),
            stage(same).merge(stage(same).fed_by([7])),
        ),
        (
            stage(same).merge(stage(same).merge(stage(odd).fed_by([8])).fed_by([7])),
            stage(same).merge(stage(same).merge(stage(negative).fed_by([8])).fed_by([7])),
        ),
    ],
    ids=["kind", "merged", "merged twice"],
)
async def test_pipelines_that_differ_only_in_kind_or_in_a_merged_part_are_told_apart(
    journal: Journal, one: Pipeline[int, Any], other: Pipeline[int, Any]
) -> None:
    first = await one.collect([1, 2], journal=journal)
    with pytest.raises(JournalError, match="of another pipeline, of the stages"):
        await other.collect([1, 2], journal=journal)
    assert sorted(await one.collect([1, 2], journal=journal)) == sorted(first)


async def test_commands_are_told_apart_by_their_arguments_or_by_a_name(journal: Journal) -> None:
    def cut(columns: str, name: str | None = None) -> Pipeline[bytes, bytes]:
        return stage(bytes, name="bytes").through(Command("cut", "-c", columns), name=name)

    def key(_: bytes) -> str:
        return "line"

    async def text(pipeline: Pipeline[bytes, bytes], of: Journal) -> str:
        journal = Journal(of.path, dump=lambda found: found[0], load=lambda found: [found])
        [found] = await pipeline.collect([b"abc\n"], journal=journal, key=key)
        return found.decode()

    assert await text(cut("1"), journal) == await text(cut("1"), journal) == "a\n"
    with pytest.raises(JournalError, match=r"map cut \(cut -c 1\)', not .*cut -c 2"):
        await text(cut("2"), journal)
    other = Journal(f"{journal.path}2")
    assert await text(cut("1", "cut"), other) == await text(cut("2", "cut"), other) == "a\n"


async def test_a_journal_of_an_older_version_is_resumed(journal: Journal) -> None:
    await stage(same).filter(odd).run([1, 2], journal=journal)
    with closing(sqlite3.connect(journal.path)) as connection:
        connection.execute("DELETE FROM about WHERE name = 'shape'")
        connection.commit()
    assert (await stage(same).filter(odd).run([1, 2, 3], journal=journal)).recorded == 2


async def test_the_path_is_resolved_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "a")
    journal = Journal("run.db")
    monkeypatch.chdir(tmp_path / "b")
    assert (await stage(same).run([1], journal=journal)).recorded == 0
    assert (await stage(same).run([1], journal=journal)).recorded == 1
    assert journal.path == tmp_path / "a" / "run.db"
    assert [*(tmp_path / "b").iterdir()] == []


# ----------------------------------------------------- what comes back


class Colour(enum.StrEnum):
    RED = "red"


@pytest.mark.parametrize(
    "result",
    [
        (1, 2),
        {1: "int key"},
        {Colour.RED: 1},
        [{"deep": {Colour.RED: 1}}],
        OrderedDict(a=1),
        Colour.RED,
        enum.IntEnum("Number", "ONE").ONE,  # type: ignore[attr-defined]
        math.nan,
        b"bytes",
        {1, 2},
    ],
    ids=repr,
)
async def test_what_json_would_change_is_refused_bare_the_first_time(
    journal: Journal, result: object
) -> None:
    async def give(_: int) -> object:
        return result

    with pytest.raises(JournalError, match=r"results of 1 cannot be recorded.*dump= and load="):
        await stage(give).collect([1], journal=journal)


async def test_the_second_collect_returns_what_the_first_did(journal: Journal) -> None:
    calls: list[str] = []

    async def parts(item: int) -> AsyncIterator[str]:
        for part in "abc":
            yield f"{item}{part}"

    async def store(part: str) -> str:
        calls.append(part)
        if part in ("1b", "3a", "3b", "3c"):
            raise OSError("disk")
        return part

    pipeline = stage(same).flat_map(parts).map(store, on_error=SKIP, workers=2)
    first = await pipeline.collect(range(4), journal=journal)
    assert first == ["0a", "0b", "0c", "1a", "1c", "2a", "2b", "2c"]
    assert len(calls) == 12
    for _ in range(2):
        assert await pipeline.collect(range(4), journal=journal) == first
    assert len(calls) == 12
    journal.retry([1])
    assert await pipeline.collect(range(4), journal=journal) == first  # it fails the same way


# --------------------------------------------------------------- errors


@pytest.mark.parametrize("progress", [False, lambda _: None], ids=["", "progress"])
@pytest.mark.parametrize("asynchronous", [False, True])
async def test_every_journal_error_comes_bare(
    journal: Journal,
    asynchronous: bool,
    progress: Any,  # noqa: ANN401
) -> None:
    def key(item: int) -> Any:  # noqa: ANN401
        return {2: 1, 3: 1.5, 4: 1 << 70, 5: "\udc80"}.get(item, item) if item < 6 else 1 // 0

    def items(last: int) -> Iterator[int]:
        yield from (1, last)

    async def items_async(last: int) -> AsyncIterator[int]:
        for item in items(last):
            yield item

    complaints = (
        "came twice",
        "is a float",
        "64 bits",
        "lone surrogate",
        "key= failed on item 6: ZeroDivisionError: ",
    )
    for number, complaint in enumerate(complaints, 2):
        source: Any = items_async(number) if asynchronous else items(number)
        this = Journal(f"{journal.path}{number}")
        pipeline = stage(same, workers=3).map(negative, workers=2)
        with pytest.raises(JournalError, match=complaint):
            await pipeline.run(source, journal=this, key=key, progress=progress)
    assert this.failures() == []


async def test_an_error_of_the_key_function_is_not_taken_for_the_sources(journal: Journal) -> None:
    def key(item: dict[str, str]) -> str:
        return item["name"]

    with pytest.raises(JournalError, match=r"key= failed on item \{\}: KeyError: 'name'") as caught:
        await stage(same).run([{}], journal=journal, key=key)
    assert isinstance(caught.value.__cause__, KeyError)
    assert not getattr(caught.value, "__notes__", None)
