"""Runs and cancellations at random instants leave no process, no zombie and no descriptor."""

from __future__ import annotations

from random import SystemRandom

import anyio
import pytest

from aconcur.process import Command
from benchmarks.process_jobs import JOBS, cell, lines_of
from benchmarks.process_kills import KINDS, LOOPS, survivors_of
from benchmarks.process_survivors import MARK, marked, survey
from tests.support.states import until


async def test_nothing_is_left_of_runs_and_cancels_at_random_instants() -> None:
    seed = SystemRandom().randrange(1 << 32)
    tally = await survey(runs=40, cancels=60, seed=seed)
    assert tally.clean, f"seed {seed}: {tally}"


async def test_the_survey_sees_a_survivor() -> None:
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(Command("sleep", "60", env={MARK: "seen"}).run)
            await until(lambda: marked("seen"))
            assert not marked("see")
            scope.cancel()
    assert not marked("seen")


@pytest.mark.parametrize("loop", LOOPS)
def test_nothing_outlives_a_program_that_is_killed_at_a_random_instant(loop: str) -> None:
    lot = SystemRandom()
    kind, seed = lot.choice(KINDS), lot.randrange(1 << 32)
    assert survivors_of(loop, kind, seed) == 0, f"{kind}, seed {seed}"


@pytest.mark.parametrize("job", JOBS)
def test_the_jobs_of_the_table_are_done(job: str) -> None:
    wanted, codes = JOBS[job]
    assert cell("aconcur", codes, wanted) == str(lines_of(codes["aconcur"]))
    assert cell("aconcur", codes, "else") == "wrong"
