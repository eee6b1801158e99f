"""How far a run has come: shown in a terminal, in lines, to a function; and the terminal after."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Literal

import anyio
import anyio.lowlevel
import pytest

from aconcur.pipeline import SKIP, Journal, PipelineReport, ProgressLines, Queue, stage
from aconcur.pipeline._report import Recent
from aconcur.testing import cancel_everywhere, explore
from tests.pipeline.test_accounts import account
from tests.support.extras import skip_without
from tests.support.pseudo_terminal import PseudoTerminal, open_pseudo_terminal
from tests.support.states import until

HIDDEN, SHOWN = "\x1b[?25l", "\x1b[?25h"


async def same(item: int) -> int:
    return item


async def odd_fails(item: int) -> int:
    await anyio.lowlevel.checkpoint()
    if item % 2:
        raise ValueError(item)
    return item


# ------------------------------------------------------- functions, objects


async def test_a_function_is_told_and_told_of_the_end() -> None:
    reports: list[PipelineReport] = []

    async def until_told(item: int) -> int:
        await until(lambda: reports)
        return item

    pipeline = stage(until_told).map(odd_fails, on_error=SKIP)
    assert await pipeline.collect(range(10), progress=reports.append) == [0, 2, 4, 6, 8]
    assert not reports[0].ended
    assert (reports[-1].finished, reports[-1].total, reports[-1].ended) == (10, 10, True)
    assert reports[-1].to_dict()["finished"] == 10


class Told:
    def __init__(self) -> None:
        self.updates, self.closed = 0, list[PipelineReport]()

    def update(self, _: PipelineReport) -> None:
        self.updates += 1

    def close(self, report: PipelineReport) -> None:
        self.closed.append(report)


async def test_an_object_is_closed_whatever_the_end_is() -> None:
    told = Told()
    with pytest.raises(ValueError, match="1"):
        await stage(odd_fails).run(range(3), progress=told, unwrap=True)
    with anyio.CancelScope() as scope:

        async def cancel(_: int) -> None:
            scope.cancel()
            await anyio.sleep_forever()

        await stage(cancel).run(range(3), progress=told)
    assert scope.cancelled_caught
    assert [report.ended for report in told.closed] == [True, True]
    assert told.updates <= 2


async def test_a_function_that_fails_ends_the_run() -> None:
    def fail(report: PipelineReport) -> None:
        if not report.ended:
            raise KeyError("shown")

    queue = Queue[int]()
    with pytest.raises(KeyError):
        await stage(same).run(queue, progress=fail, unwrap=True)


class ClosesBadly(Told):
    """A terminal that has hung up."""

    def close(self, report: PipelineReport) -> None:
        super().close(report)
        raise OSError("hung up")


@pytest.mark.parametrize("unwrap", [True, False])
async def test_an_end_that_cannot_be_shown_does_not_hide_the_cause(unwrap: bool) -> None:
    told = ClosesBadly()
    with pytest.raises(ValueError if unwrap else ExceptionGroup) as caught:
        await stage(odd_fails).run(range(3), progress=told, unwrap=unwrap)
    assert caught.value.__notes__[-1] == "and the end could not be shown: OSError('hung up')"
    with anyio.CancelScope() as scope:

        async def cancel(_: int) -> None:
            scope.cancel()
            await anyio.sleep_forever()

        await stage(cancel).run(range(3), progress=told)
    assert scope.cancelled_caught
    with pytest.raises(OSError, match="hung up"):
        await stage(same).run(range(3), progress=told)
    assert len(told.closed) == 3


class Watched:
    """A run that is shown, and knows whether what shows it was closed."""

    def __init__(self) -> None:
        self.told = Told()

    async def run(self) -> None:
        self.told = Told()
        pipeline = stage(odd_fails, workers=2, buffer=1, on_error=SKIP)
        assert await pipeline.collect(range(3), progress=self.told) == [0, 2]
        self.closed_once()
        assert self.told.closed[0].finished == 3

    def closed_once(self) -> None:
        assert len(self.told.closed) <= 1
        assert len(self.told.closed) == 1 or not self.told.updates


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_shown_under_every_schedule(backend: Literal["asyncio", "trio"]) -> None:
    found = explore(Watched().run, backend=backend, bound=3, schedules=20_000)
    found.check()
    assert found.exhausted


@pytest.mark.parametrize("backend", ["asyncio", "uvloop", "trio"])
def test_closed_whenever_it_is_cancelled(backend: Literal["asyncio", "uvloop", "trio"]) -> None:
    watched = Watched()
    cancel_everywhere(
        watched.run, backend=backend, invariant=watched.closed_once, grace=1.0
    ).check()


async def test_what_cannot_show_is_refused() -> None:
    with pytest.raises(TypeError, match="progress must be True, a function or an object with upd"):
        await stage(same).run([1], progress=1)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["flat_map", "batch", "merge", "map"])
async def test_what_is_finished_is_counted_in_items_of_the_source(kind: str) -> None:
    pipelines = {
        "flat_map": stage(same).flat_map(lambda item: [item] * 3),
        "batch": stage(same).batch(4),
        "merge": stage(same).merge([1, 2, 3]),
        "map": stage(same).filter(lambda item: item > 2).map(odd_fails, on_error=SKIP),
    }
    report = await pipelines[kind].run(range(10))
    assert (report.finished, report.total) == (10, 10)


async def test_a_source_without_a_length_and_what_is_recorded(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "run.db")
    report = await stage(same).run(iter([1, 2]), journal=journal)
    assert (report.finished, report.total) == (2, None)
    report = await stage(same).run([1, 2, 3], journal=journal)
    assert (report.finished, report.total, report.recorded) == (3, 3, 2)


# -------------------------------------------------------------------- lines


async def test_where_there_is_no_stderr_nothing_is_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stderr", None)
    report = await stage(len).run(["a"], progress=True)
    assert (report.finished, capsys.readouterr().out) == (1, "")


def told(seconds: float, out: int, **counts: int) -> PipelineReport:
    one = account("resize", starved=0.25, blocked=0.25, entered=2000, out=out, **counts)
    return PipelineReport((replace(one, seconds=seconds),), seconds, finished=out, total=2000)


def test_lines_come_every_so_often_and_at_the_end() -> None:
    file = StringIO()
    lines = ProgressLines(file, seconds=5)
    for second in range(12):
        lines.update(told(second, 100 * second))
    lines.close(told(12, 1200, failed=3))
    assert file.getvalue().splitlines() == [
        "500/2,000 items, 100/s; resize 50% busy",
        "1,000/2,000 items, 100/s; resize 50% busy",
        "1,200/2,000 items, 100/s, 3 failed in 12.0 s",
    ]


def test_rates_are_those_of_the_last_seconds() -> None:
    recent = Recent()
    for look in range(100):
        now = recent.add(told(look / 10, 10 * min(look, 60)))
    assert now.rate == 0
    recent = Recent()
    for look in range(100):
        now = recent.add(told(look / 10, 10 * max(0, look - 60)))
    assert now.rate == pytest.approx(100)


PROGRAM = """
import sys, anyio
from aconcur.pipeline import stage
async def work(item):
    if item == 20: print("in between", flush=True)
    await anyio.sleep(0 if item < 50 else {sleep})
    return item
async def main():
    with anyio.move_on_after({limit}):
        await stage(work, name="resize").map(work, name="upload").run(range(60), progress=True)
anyio.run(main, backend={backend!r})
"""


def program(sleep: float = 0.0, limit: float = 60, backend: str = "asyncio") -> list[str]:
    return [sys.executable, "-c", PROGRAM.format(sleep=sleep, limit=limit, backend=backend)]


def test_without_a_terminal_there_are_lines() -> None:
    done = subprocess.run(program(), capture_output=True, text=True, check=True)
    assert done.stdout == "in between\n" * 2
    [line] = done.stderr.splitlines()
    assert line.startswith("60/60 items, ")


# ---------------------------------------------------------------- terminals


def ended(terminal: PseudoTerminal) -> int:
    """Return how the program ended; fail if the terminal is not as it was."""
    status = terminal.wait_for_end()
    assert terminal.settings() == terminal.before
    return status


@skip_without("rich")
def test_a_terminal_sees_bars() -> None:
    with open_pseudo_terminal(*program()) as terminal:
        assert ended(terminal) == 0
    screen = terminal.screen
    assert screen.count(HIDDEN) == screen.count(SHOWN) == 1
    assert screen.index(HIDDEN) < screen.index(SHOWN)
    assert "60/60 items" in screen
    for expected in ("resize", "upload", "queued", "of 1 busy", "in between\r\n"):
        assert expected in screen


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@skip_without("rich")
def test_the_terminal_is_given_back_after_ctrl_c(backend: str) -> None:
    with open_pseudo_terminal(*program(sleep=60, backend=backend)) as terminal:
        terminal.wait_for_text("50/60 items")
        terminal.press("\x03")
        # Python ends by the signal when nobody catches KeyboardInterrupt. On trio it strikes
        # whatever task runs, and may come out of the run in a group.
        assert ended(terminal) in (-signal.SIGINT, *[1] * (backend == "trio"))
    assert terminal.screen.count(HIDDEN) == terminal.screen.count(SHOWN) == 1
    assert "KeyboardInterrupt" in terminal.screen[terminal.screen.index(SHOWN) :]


@skip_without("rich")
def test_the_terminal_is_given_back_after_a_cancellation() -> None:
    with open_pseudo_terminal(*program(sleep=60, limit=0.3)) as terminal:
        assert ended(terminal) == 0
    assert terminal.screen.count(HIDDEN) == terminal.screen.count(SHOWN) == 1


def test_without_rich_or_in_a_dumb_terminal_there_are_lines() -> None:
    hide = "import importlib.util as u; u.find_spec = lambda name: None\n"
    python, option, code = program()
    for started in (
        open_pseudo_terminal(python, option, hide + code),
        open_pseudo_terminal(python, option, code, TERM="dumb"),
    ):
        with started as terminal:
            assert ended(terminal) == 0
        assert "60/60 items" in terminal.screen
        assert "\x1b" not in terminal.screen
