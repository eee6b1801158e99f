"""An unknown status is never a success."""

from __future__ import annotations

import pickle
import signal
from collections.abc import Iterator

import pytest

from aconcur.process import Command, CommandFailed
from tests.support.commands import sh
from tests.support.states import until


@pytest.fixture
def children_are_reaped_by_the_system() -> Iterator[None]:
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGCHLD, before)


@pytest.mark.usefixtures("children_are_reaped_by_the_system")
@pytest.mark.parametrize("script", ["exit 3", "exit 0", "sleep 0.05; exit 3"])
async def test_with_sigchld_ignored_the_status_is_unknown_and_a_failure(script: str) -> None:
    done = await (sh(script) | sh(script)).run(check=False)
    assert done.returncodes == (None, None)
    assert not done.ok
    unknown = r"ended with an unknown status: SIGCHLD is ignored .*waitpid"
    with pytest.raises(CommandFailed, match=unknown) as caught:
        await sh(script).run()
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


@pytest.mark.usefixtures("children_are_reaped_by_the_system")
async def test_the_output_of_an_unknown_end_is_there() -> None:
    assert (await Command("echo", "x").run(check=False)).stdout == b"x\n"


@pytest.mark.usefixtures("children_are_reaped_by_the_system")
async def test_open_tells_an_unknown_end_too() -> None:
    async with sh("exit 0").open(check=False) as running:
        assert [line async for line in running.lines()] == []
        await until(lambda: "unknown status" in repr(running))
        assert running.returncodes == (None,)
        assert not (await running.wait()).ok


async def test_the_resources_of_each_stage_are_told() -> None:
    busy = sh("i=0; while [ $i -lt 60000 ]; do i=$((i+1)); done")
    done = await (busy | Command("cat")).run()
    assert done.stages[0].user_seconds > 0
    assert done.stages[0].user_seconds > done.stages[1].user_seconds
    assert all(stage.max_rss > 1 << 18 for stage in done.stages)
    assert all(stage.system_seconds >= 0 for stage in done.stages)
