"""A command sees the end of its input only where the input has ended."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Literal

import anyio
import pytest

from aconcur.pipeline import stage
from aconcur.process import PIPE, Command, CommandTimeout, OutputTooLarge
from tests.support.commands import noted_pids, python, sh
from tests.support.states import until

# Tells what it has seen; SIGTERM is deferred, so a clean end before the kill would be noticed.
WITNESS = """
import os, signal, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
folder = sys.argv[1]
open(f"{folder}/pid.{os.getpid()}", "w").close()
while os.read(0, 1 << 16): pass
open(f"{folder}/ended", "w").close()
"""


def witness(folder: Path) -> Command:
    return python(WITNESS, folder)


def reads_when_told_to_end(folder: Path) -> Command:
    """Return a command that reads nothing before SIGTERM, and then as long as there is input."""
    return sh(
        f"trap ': > {folder}/told' TERM; : > {folder}/pid.$$; "
        f"until [ -e {folder}/told ]; do sleep 0.01; done; cat >/dev/null; : > {folder}/ended"
    )


async def half(folder: Path, *, fails: bool) -> AsyncIterator[bytes]:
    yield b"x" * 100_000
    await until(lambda: noted_pids(folder))
    if fails:
        raise ConnectionError("the source broke off")
    await anyio.sleep(60)


async def test_an_async_input_that_raises_does_not_end(tmp_path: Path) -> None:
    with pytest.raises(ConnectionError):
        await witness(tmp_path).run(input=half(tmp_path, fails=True), grace=0.2)
    assert not (tmp_path / "ended").exists()


async def test_an_iterable_that_raises_does_not_end(tmp_path: Path) -> None:
    def some() -> Iterator[bytes]:
        for _ in range(10):
            yield b"x" * 300_000
        raise ConnectionError

    with pytest.raises(ConnectionError):
        await witness(tmp_path).run(input=some(), grace=0.2)
    assert not (tmp_path / "ended").exists()


async def test_an_input_that_is_cut_by_a_timeout_does_not_end(tmp_path: Path) -> None:
    with pytest.raises(CommandTimeout):
        await witness(tmp_path).run(input=half(tmp_path, fails=False), timeout=0.5, grace=0.2)
    assert not (tmp_path / "ended").exists()


@pytest.mark.parametrize("given", ["async", "bytes"])
async def test_an_input_that_is_cut_by_a_cancellation_does_not_end(
    given: Literal["async", "bytes"], tmp_path: Path
) -> None:
    slow = reads_when_told_to_end(tmp_path)
    data = half(tmp_path, fails=False) if given == "async" else bytes(3_000_000)
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:

            async def run() -> None:
                await slow.run(input=data, grace=1)

            tasks.start_soon(run)
            await until(lambda: noted_pids(tmp_path))
            scope.cancel()
    assert not (tmp_path / "ended").exists()


async def test_an_output_that_is_too_large_does_not_end_the_input(tmp_path: Path) -> None:
    pipe = witness(tmp_path) | Command("yes")
    with pytest.raises(OutputTooLarge):
        await pipe.run(input=half(tmp_path, fails=False), max_output=10, grace=0.2)
    assert not (tmp_path / "ended").exists()


@pytest.mark.parametrize("given", ["block", "async"])
async def test_a_block_that_raises_does_not_end_the_input(
    given: Literal["block", "async"], tmp_path: Path
) -> None:
    source = PIPE if given == "block" else half(tmp_path, fails=False)
    with pytest.raises(KeyError):  # noqa: PT012 - how the block is left
        async with witness(tmp_path).open(input=source, grace=0.2) as running:  # type: ignore[arg-type]
            if given == "block":
                await running.write(b"half")
            await until(lambda: noted_pids(tmp_path))
            raise KeyError
    assert not (tmp_path / "ended").exists()


async def test_a_command_that_commits_at_the_end_commits_nothing_of_a_half(tmp_path: Path) -> None:
    part, whole = tmp_path / "part", tmp_path / "all"
    commit = sh(f": > {tmp_path}/pid.$$; cat > {part} && mv {part} {whole}")
    with suppress(ConnectionError):
        await commit.run(input=half(tmp_path, fails=True))
    assert not whole.exists()
    await commit.run(input=[b"whole"])
    assert whole.read_bytes() == b"whole"


async def test_a_stage_through_a_command_commits_nothing_when_it_is_cancelled(
    tmp_path: Path,
) -> None:
    pipeline = stage(bytes).through(reads_when_told_to_end(tmp_path))
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(pipeline.collect, [bytes(3_000_000)])
            await until(lambda: noted_pids(tmp_path))
            scope.cancel()
    assert (tmp_path / "told").exists()
    assert not (tmp_path / "ended").exists()
