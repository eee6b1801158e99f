"""A run with a journal: what is done is done once, what failed is kept, nothing is lost."""

from __future__ import annotations

import json
import pickle
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from pathlib import Path, PurePosixPath
from threading import Event
from typing import Any, Literal, TypeAlias

import anyio
import pytest
from anyio.lowlevel import checkpoint

from aconcur.pipeline import (
    COLLECT,
    RAISE,
    SKIP,
    THREADS,
    Failure,
    Journal,
    JournalError,
    JournalFailure,
    JournalStatistics,
    OnError,
    Pipeline,
    Queue,
    Retry,
    stage,
)
from aconcur.pipeline._journal import writer as writer_module
from aconcur.pipeline._journal.store import Done, Failed, JournalFile
from aconcur.testing import cancel_everywhere
from tests.support.states import until

Backend: TypeAlias = Literal["asyncio", "uvloop", "trio"]


class Work:
    """Counts its calls, and fails where it is told to."""

    def __init__(self, *bad: int) -> None:
        self.calls: list[int] = []
        self.bad = set(bad)

    async def double(self, item: int) -> int:
        await checkpoint()
        self.calls.append(item)
        if item in self.bad:
            raise ValueError(f"{item} is bad")
        return 2 * item

    def pipeline(self, **options: Any) -> Pipeline[int, int]:  # noqa: ANN401
        return stage(same, workers=3).map(self.double, workers=2, **options)


async def same(item: int) -> int:
    return item


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "run.db")


def done(journal: Journal) -> set[Any]:
    with closing(sqlite3.connect(journal.path)) as connection:
        return {key for (key,) in connection.execute("SELECT key FROM done")}


def attempts(journal: Journal) -> list[tuple[Any, int]]:
    return [(failure.key, failure.attempts) for failure in journal.failures() if not failure.again]


async def test_what_is_done_is_not_done_again(journal: Journal) -> None:
    work = Work()
    report = await work.pipeline().run(range(10), journal=journal)
    assert (report.recorded, report.delivered) == (0, 10)
    report = await work.pipeline().run(range(15), journal=journal)
    assert (report.recorded, report.delivered, report.stages[0].entered) == (10, 5, 5)
    assert sorted(work.calls) == [*range(15)]
    assert "(10 items recorded before)" in str(report)
    assert report.to_dict()["recorded"] == 10
    assert journal.statistics() == JournalStatistics("same | double", 15, 0, 0)


async def test_an_item_that_ended_the_run_is_tried_again(journal: Journal) -> None:
    work = Work(5)
    with pytest.raises(ValueError, match="5 is bad"):
        await work.pipeline(on_error=RAISE).run(range(10), journal=journal, unwrap=True)
    [failure] = journal.failures()
    assert failure == JournalFailure(5, "double", "ValueError: 5 is bad", 1, again=True)
    finished = done(journal)
    assert 5 not in finished
    work.bad.clear()
    before = len(work.calls)
    await work.pipeline(on_error=RAISE).run(range(10), journal=journal)
    assert set(work.calls[before:]) == set(range(10)) - finished
    assert journal.statistics() == JournalStatistics("same | double", 10, 0, 0)
    assert journal.failures() == []


async def test_a_text_is_not_taken_for_its_letters(journal: Journal) -> None:
    with pytest.raises(TypeError, match=r"keys must be several: \['abc'\]"):
        journal.retry("abc")


@pytest.mark.parametrize("on_error", [SKIP, COLLECT, lambda _: None])
async def test_a_failed_item_is_kept_and_left_alone_until_retry(
    journal: Journal, on_error: OnError | Callable[[Failure], object]
) -> None:
    work = Work(1, 3)
    pipeline = work.pipeline(on_error=on_error, retry=Retry(2, backoff=0))
    await pipeline.run(range(5), journal=journal)
    assert (await pipeline.run(range(5), journal=journal)).recorded == 5
    assert sorted(work.calls) == [0, 1, 1, 2, 3, 3, 4]
    assert [(f.key, f.attempts, f.again) for f in journal.failures()] == [
        (1, 2, False),
        (3, 2, False),
    ]

    assert journal.retry([3, 4, 99]) == 1
    assert journal.statistics() == JournalStatistics("same | double", 3, 1, 1)
    work.calls.clear()
    await pipeline.run(range(5), journal=journal)
    assert work.calls == [3, 3]
    assert [(f.key, f.attempts, f.again) for f in journal.failures()] == [
        (1, 2, False),
        (3, 4, False),
    ]

    assert (journal.retry(), journal.retry()) == (2, 0)
    work.bad.clear()
    await pipeline.run(range(5), journal=journal)
    assert journal.statistics() == JournalStatistics("same | double", 5, 0, 0)


async def test_failures_are_seen_with_their_items(journal: Journal) -> None:
    seen: list[Any] = []
    work = Work(1)
    pipeline = work.pipeline(on_error=lambda failure: seen.append((failure.item, failure.stage)))
    await pipeline.run(range(3), journal=journal)
    assert seen == [(1, "double")]
    with pytest.raises(ValueError, match="7 is bad") as caught:
        await Work(7).pipeline().run([7], journal=journal, unwrap=True)
    assert caught.value.__notes__ == ["in stage 'double', item: 7"]


# ----------------------------------------------------- what an item becomes


def several(item: int) -> list[int]:
    return [item] * item


async def several_async(item: int) -> AsyncIterator[int]:
    for _ in range(item):
        await checkpoint()
        yield item


@pytest.mark.parametrize("function", [several, several_async])
@pytest.mark.parametrize("workers", [1, 3])
async def test_an_item_is_done_when_all_that_it_became_is(
    journal: Journal, workers: int, function: Callable[[int], Any]
) -> None:
    async def third_fails(item: int) -> int:
        calls.append(item)
        if calls.count(3) == 2 and item == 3:
            raise ValueError
        return item

    calls: list[int] = []
    pipeline: Pipeline[int, int] = stage(same).flat_map(function, workers=workers)
    pipeline = pipeline.map(third_fails, on_error=SKIP)
    await pipeline.run(range(5), journal=journal)
    assert sorted(calls) == [1, 2, 2, 3, 3, 3, 4, 4, 4, 4]
    assert done(journal) == {0, 1, 2, 4}
    assert [(f.key, f.stage) for f in journal.failures()] == [(3, "third_fails")]


async def test_filtered_is_done(journal: Journal) -> None:
    odd = (
        stage(same)
        .filter(lambda item: item % 2, name="odd")
        .filter(lambda item: item > 2, name="large")
    )
    report = await odd.run(range(6), journal=journal)
    assert [account.filtered for account in report.stages] == [0, 3, 1]
    assert done(journal) == set(range(6))
    assert await stage(same).batch(4).run(range(3), journal=Journal(f"{journal.path}2"))


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("plain", [False, True])
async def test_an_attempt_that_fails_in_the_middle_leaves_the_item_to_the_next(
    journal: Journal, workers: int, plain: bool
) -> None:
    tried: list[int] = []

    def parts(item: int) -> Iterator[int]:
        tried.append(item)
        yield item
        if tried.count(item) == 1:
            raise ValueError(item)
        yield -item

    async def parts_as_they_come(item: int) -> AsyncIterator[int]:
        for part in parts(item):
            yield part

    function: Any = parts if plain else parts_as_they_come
    options: Any = {"workers": workers, "retry": Retry(2, backoff=0)}
    last = stage(same).flat_map(function, **options)
    twice = [] if workers > 1 else [1]  # what was passed on is not taken back
    other = Journal(f"{journal.path}2")
    assert await last.collect([1], journal=other) == [*twice, 1, -1]
    tried.clear()
    await last.map(same).run([1, 2], journal=journal)
    assert done(journal) == {1, 2}


class SpeechlessError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError("no file \udcff"), "OSError: no file \\udcff"),
        (SpeechlessError(), "SpeechlessError"),
    ],
)
async def test_any_error_can_be_recorded(journal: Journal, error: Exception, told: str) -> None:
    async def fail(_: int) -> None:
        raise error

    await stage(fail, on_error=SKIP).run([1, 2], journal=journal)
    assert [failure.error for failure in journal.failures()] == [told, told]


async def test_a_batch_is_done_or_fails_with_all_that_is_in_it(journal: Journal) -> None:
    async def first_fails(batch: list[int]) -> list[int]:
        assert all(isinstance(item, int) for item in batch)
        if 0 in batch:
            raise OSError("no")
        return batch

    pipeline = stage(same).flat_map(lambda item: [item, item], name="twice").batch(3)
    await pipeline.map(first_fails, on_error=SKIP).run(range(3), journal=journal)
    assert [(f.key, f.error) for f in journal.failures()] == [
        (0, "OSError: no"),
        (1, "OSError: no"),
    ]
    assert done(journal) == {2}


async def test_what_is_merged_is_recorded_too(journal: Journal) -> None:
    work, more = Work(), Work(13)
    fed = stage(more.double, on_error=SKIP).fed_by([10, 13])
    for number in range(3):
        merged = work.pipeline().merge([20, 21], fed).rate_limit(10**6)
        pipeline = merged if number else merged.map(same).merge([30])
        this = Journal(f"{journal.path}{bool(number)}")
        report = await pipeline.run(range(3), journal=this)
        expected = {0, 1, 2, 10, 20, 21} | ({30} if number == 0 else set())
        assert (report.recorded, done(this)) == (7 if number == 2 else 0, expected)
        assert [failure.key for failure in this.failures()] == [13]
    with pytest.raises(ValueError, match="cannot tell which item a batch came from"):
        await stage(same).merge(stage(same).batch(2).fed_by([1])).collect([1], journal=journal)


async def test_threads_and_executors_see_items(journal: Journal) -> None:
    def negative(item: int) -> int:
        return -item

    pipeline = stage(negative, via=THREADS, workers=2).map(negative)
    await pipeline.run(range(-20, 0), journal=journal)
    assert done(journal) == set(range(-20, 0))


@pytest.mark.parametrize("source", ["generator", "queue"])
async def test_an_async_source(journal: Journal, source: str) -> None:
    async def generator() -> AsyncIterator[int]:
        for item in range(8):
            yield item

    async def queue() -> Queue[int]:
        queue = Queue[int]()
        await queue.put_many(range(8))
        queue.close()
        return queue

    work = Work()
    await work.pipeline().run(range(4), journal=journal)
    again = generator() if source == "generator" else await queue()
    await work.pipeline().run(again, journal=journal)
    assert sorted(work.calls) == [*range(8)]


# ------------------------------------------------------------------ results


async def test_collect_returns_recorded_and_new_results_in_the_order_of_the_source(
    journal: Journal,
) -> None:
    work = Work(3)
    pipeline = work.pipeline(on_error=SKIP, ordered=False).flat_map(
        lambda n: [n, str(n)], name="both"
    )
    assert await pipeline.collect([4, 2, 3], journal=journal) == [8, "8", 4, "4"]
    assert await pipeline.collect([1, 2, 3, 4], journal=journal) == [2, "2", 4, "4", 8, "8"]
    assert sorted(work.calls) == [1, 2, 3, 4]
    await pipeline.run([5], journal=journal)
    assert await pipeline.collect([5], journal=journal) == [10, "10"]


ODD = ["", 'ü\udcff"\\\n', True, False, None, 0, -(10**4000), 1.5, [1, {"a": [None]}]]


async def test_recorded_results_come_back_as_they_were(journal: Journal) -> None:
    pipeline: Pipeline[int, Any] = stage(lambda number: ODD[number], name="one")
    rest: Pipeline[int, list[Any]] = stage(lambda number: ODD[number:], name="rest")
    several = rest.flat_map(list)
    other = Journal(f"{journal.path}2")
    for _ in range(2):
        for found in (
            await pipeline.collect(range(len(ODD)), journal=journal),
            await several.collect([0], journal=other),
        ):
            assert found == ODD
            assert list(map(type, found)) == list(map(type, ODD))


async def test_a_result_that_would_come_back_changed_ends_the_run(journal: Journal) -> None:
    pair: Pipeline[int, Any] = stage(lambda item: (item, item) if item == 3 else item, name="pair")
    with pytest.raises(JournalError, match=r"results of 3 cannot.*back unchanged.*dump="):
        await pair.collect(range(100), journal=journal)
    assert done(journal) >= {0, 1, 2}
    with pytest.raises(JournalError, match="not JSON serializable"):
        await stage(PurePosixPath).collect(["x"], journal=Journal(f"{journal.path}2"))
    other = Journal(f"{journal.path}3", dump=pickle.dumps, load=pickle.loads)
    for _ in range(2):
        assert await pair.collect([2, 3], journal=other) == [2, (3, 3)]


@pytest.mark.parametrize("dumped", ["\udcff", 1 << 70, object()])
async def test_a_dump_that_no_file_can_take_ends_the_run(journal: Journal, dumped: Any) -> None:  # noqa: ANN401
    odd = Journal(journal.path, dump=lambda _: dumped, load=pickle.loads)
    with pytest.raises(JournalError, match="the records so far stay"):
        await stage(same).collect([1, 2], journal=odd)
    assert done(journal) == set()


async def test_a_load_that_fails(journal: Journal) -> None:
    await stage(same).collect([1], journal=journal)
    broken = Journal(journal.path, dump=json.dumps, load=lambda _: [1 // 0])
    with pytest.raises(JournalError, match=r"load= failed on the results of 1: .*division"):
        await stage(same).collect([1], journal=broken)


async def test_what_cannot_be_collected(journal: Journal) -> None:
    with pytest.raises(ValueError, match="cannot tell which item a batch came from"):
        await stage(same).batch(2).collect([1], journal=journal)
    await stage(same).run([1], journal=journal)
    with pytest.raises(JournalError, match=r"begun by run\(\), which keeps no results"):
        await stage(same).collect([1], journal=journal)


# --------------------------------------------------------------------- keys


async def test_keys_of_every_kind_are_told_apart(journal: Journal) -> None:
    items = [1, "1", b"1", "ä", "a\0b", "a", -(2**63), ""]
    for recorded in (0, len(items)):
        report = await stage(repr).run(items, journal=journal)
        assert report.recorded == recorded
    assert done(journal) == set(items)


@pytest.mark.parametrize(
    ("item", "complaint"),
    [
        ((1, 2), r"key \(1, 2\) is a tuple: give key= a function that returns a str, an int or by"),
        (1.5, "is a float"),
        (2**63, r"key 9223372036854775808 has more than 64 bits: use its str\(\)"),
        ("\udc80", "lone surrogate"),
        (0, "key 0 came twice: keys must be unique"),
    ],
)
async def test_a_key_that_is_none(journal: Journal, item: object, complaint: str) -> None:
    async def given() -> AsyncIterator[object]:
        yield 0
        yield item

    for source in ([0, item], given()):
        path = Journal(f"{journal.path}{type(source).__name__}")
        with pytest.raises(JournalError, match=complaint):
            await stage(repr).run(source, journal=path, unwrap=True)


async def test_a_key_of_an_item(journal: Journal) -> None:
    def name(person: dict[str, str]) -> str:
        return person["name"]

    def greet(person: dict[str, str]) -> str:
        return f"Hello {name(person)}"

    people = [{"name": "Ada"}, {"name": "Bob"}]
    await stage(greet).run(people, journal=journal, key=name)
    assert done(journal) == {"Ada", "Bob"}
    with pytest.raises(JournalError, match=r"key None of item .'name': 'Ada'. is a NoneType"):
        await stage(greet).run(people, journal=journal, key=lambda _: None, unwrap=True)  # type: ignore[arg-type,return-value]
    with pytest.raises(ValueError, match="key= is for a journal"):
        await stage(greet).run(people, key=id)


# --------------------------------------------------------------- the file


async def test_a_journal_of_another_pipeline(journal: Journal) -> None:
    await stage(same).run([1], journal=journal)
    with pytest.raises(JournalError, match=r"of another pipeline, 'same', not of 'same \| double'"):
        await Work().pipeline().run([1], journal=journal)
    other = Journal(journal.path, of="size 2")
    with pytest.raises(JournalError, match="was begun for '', not for 'size 2': name another"):
        await stage(same).run([1], journal=other)
    assert done(journal) == {1}


async def test_one_run_at_a_time_and_readers_meanwhile(journal: Journal) -> None:
    async def work(item: int) -> int:
        if item == 2:
            await until(lambda: journal.statistics().done == 2)
            for other in (lambda: journal.retry(), lambda: None):
                with pytest.raises(JournalError, match="in use by another run: wait for its end"):
                    other() or await stage(same).run([1], journal=journal)
        return item

    report = await stage(work).run(range(3), journal=journal, unwrap=True)
    assert report.delivered == 3


def spoil_header(path: Path) -> None:
    path.write_bytes(b"not a database" * 100)


def spoil_pages(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:4096] + b"\xff" * (len(data) - 4096))


def other_database(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE mine (precious)")


def newer(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 9")


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (spoil_header, "it is not a journal, and stays as it is"),
        (spoil_pages, "it is damaged, and stays as it is"),
        (other_database, "is a database, but not a journal: name another file"),
        (newer, "journal of format 9, and this version of aconcur reads format 2"),
    ],
)
async def test_a_file_that_is_no_journal_stays_as_it_is(
    journal: Journal, spoil: Callable[[Path], None], complaint: str
) -> None:
    await stage(same).run(range(2000), journal=journal)
    spoil(journal.path)
    before = journal.path.read_bytes()
    with pytest.raises(JournalError, match=complaint):
        await stage(same).run([1], journal=journal)
    with pytest.raises(JournalError, match=complaint):
        journal.failures()
    assert journal.path.read_bytes() == before


async def test_no_folder_and_no_file(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="see that its folder exists"):
        await stage(same).run([1], journal=Journal(tmp_path / "no" / "run.db"))
    with pytest.raises(JournalError, match=r"run\.db was not found: name the file"):
        Journal(tmp_path / "run.db").failures()
    assert not (tmp_path / "run.db").exists()
    (tmp_path / "run.db").touch()
    with pytest.raises(JournalError, match=r"run\.db is empty: no run has begun it"):
        Journal(tmp_path / "run.db").failures()


def test_a_journal_is_a_value() -> None:
    assert repr(Journal("/tmp/run.db")) == "<Journal '/tmp/run.db'>"
    assert Journal("run.db").path == Path("run.db").resolve()
    with pytest.raises(ValueError, match="dump= was given without load="):
        Journal("run.db", dump=json.dumps)
    with pytest.raises(ValueError, match="load= was given without dump="):
        Journal("run.db", load=json.loads)


async def test_a_disk_that_is_full_ends_the_run_and_what_was_recorded_stays(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = JournalFile.write

    def write_little(file: JournalFile, records: list[Done | Failed]) -> None:
        file._connection.execute("PRAGMA max_page_count = 8")
        write(file, records)

    def endless() -> Iterator[int]:
        yield from range(10**9)

    monkeypatch.setattr(JournalFile, "write", write_little)
    pipeline: Pipeline[int, int] = stage(same).map(same, workers=2)
    with pytest.raises(JournalError, match=r"is full; the records so far stay: make room"):
        await pipeline.run(endless(), journal=journal)
    monkeypatch.undo()
    kept = done(journal)
    report = await pipeline.run(range(len(kept) + 10), journal=journal)
    assert (report.recorded, report.delivered) == (len(kept), 10)


async def test_a_disk_that_is_full_at_the_very_end(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stage(same).run([], journal=journal)

    def fail(*_: object) -> None:
        raise JournalError("full")

    async def bad(item: int) -> int:
        raise ValueError(item)

    monkeypatch.setattr(JournalFile, "write", fail)
    with pytest.raises(JournalError, match="full"):
        await stage(same).run([1], journal=journal)
    with pytest.raises(ValueError, match="1") as caught:
        await stage(bad, name="same").run([1], journal=journal, unwrap=True)
    assert "not all of it was recorded: full" in caught.value.__notes__[-1]


@pytest.mark.parametrize("resumed", [False, True])
@pytest.mark.parametrize(
    ("suffix", "how"),
    [("", "moved"), ("", "removed"), ("", "replaced"), ("-wal", "removed"), ("-lock", "removed")],
)
async def test_a_file_that_is_not_where_it_was_ends_the_run(
    journal: Journal, suffix: str, how: str, resumed: bool
) -> None:
    if resumed:
        await Work().pipeline().run(range(10), journal=journal)
    file = journal.path.with_name(f"{journal.path.name}{suffix}")

    async def source() -> AsyncIterator[int]:
        for item in range(10, 100_000):
            if item == 20:
                file.rename(file.with_name("moved"))
                if how == "replaced":
                    file.write_bytes(b"")
                elif how == "removed":
                    file.with_name("moved").unlink()
            yield item
            await checkpoint()

    with pytest.raises(JournalError, match=f"{file} was removed or replaced during the run"):
        await Work().pipeline().run(source(), journal=journal)
    if (suffix, how) == ("", "moved"):
        file.unlink(missing_ok=True)
        file.with_name("moved").rename(file)
        recorded = done(journal)
        work = Work()
        await work.pipeline().run(range(10, 100), journal=journal)
        assert set(work.calls) == set(range(10, 100)) - recorded


@pytest.mark.parametrize("kind", ["map", "filter"])
async def test_a_slow_disk_holds_the_last_stage(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    write, gate, drawn = JournalFile.write, Event(), list[int]()

    def slow(file: JournalFile, records: list[Done | Failed]) -> None:
        gate.wait()
        write(file, records)

    def source() -> Iterator[int]:
        for item in range(500):
            drawn.append(item)
            yield item

    monkeypatch.setattr(JournalFile, "write", slow)
    monkeypatch.setattr(writer_module, "_WAITING", 20)
    pipeline = stage(same).map(same) if kind == "map" else stage(same).filter(same)
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: pipeline.run(source(), journal=journal))
        await anyio.wait_all_tasks_blocked()
        assert len(drawn) < 500
        gate.set()
    assert done(journal) == set(range(500))


# ------------------------------------------------------------- cancellation


async def test_cancelled_and_resumed(journal: Journal) -> None:
    work, scope = Work(), anyio.CancelScope()

    async def up_to_fourteen(item: int) -> int:
        if item == 14:
            scope.cancel()
        return item

    def pipeline() -> Pipeline[int, int]:
        return work.pipeline().map(up_to_fourteen)

    with scope:
        await pipeline().run(range(100), journal=journal)
    assert scope.cancelled_caught
    finished = done(journal)
    assert set(range(6)) <= finished < set(range(30))
    work.calls.clear()
    await pipeline().run(range(100), journal=journal)
    assert set(work.calls) == set(range(100)) - finished


async def test_drained_by_its_source(journal: Journal) -> None:
    work, queue = Work(), Queue[int]()
    queue.put_nowait(1)

    async def stop(item: int) -> int:
        queue.close()
        return item

    await work.pipeline().map(stop).run(queue, journal=journal)
    assert done(journal) == {1}


@pytest.mark.parametrize(
    ("backend", "gather"), [("asyncio", False), ("uvloop", True), ("trio", True)]
)
def test_cancelled_at_every_step(
    backend: Backend, gather: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = Work(1)
    paths = (tmp_path / f"{number}.db" for number in range(10**6))
    journals: list[Journal] = []
    monkeypatch.setattr(writer_module, "_GATHER", 0)

    async def scenario() -> None:
        journals.append(Journal(next(paths)))
        work.calls.clear()
        pipeline = stage(work.double, on_error=SKIP)
        await (pipeline.collect if gather else pipeline.run)(range(2), journal=journals[-1])

    def nothing_is_recorded_that_was_not_done() -> None:
        if journals and journals[-1].path.exists() and journals[-1].path.stat().st_size:
            assert done(journals[-1]) <= set(work.calls) - work.bad

    cancel_everywhere(
        scenario, backend=backend, invariant=nothing_is_recorded_that_was_not_done, grace=1.0
    ).check()
