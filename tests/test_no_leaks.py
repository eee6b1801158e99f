"""A test that leaves a task, thread, descriptor, child or file behind fails."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.extras import skip_without

pytestmark = [
    pytest.mark.skipif(
        not Path("/proc/self/fd").is_dir(),
        reason="without /proc descriptors and children cannot be counted",
    ),
    skip_without("trio", "uvloop"),
]
ROOT = Path(__file__).parents[1]
LEAKS = """
import asyncio
import os
import subprocess
import tempfile
import threading

import anyio
import pytest
import trio

kept = []


def test_descriptor():
    os.open(os.devnull, 0)


def test_thread():
    threading.Thread(target=threading.Event().wait, daemon=True).start()


def test_child():
    kept.append(subprocess.Popen(["sleep", "5"]))


def test_file():
    os.close(tempfile.mkstemp()[0])


@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
async def test_asyncio_task():
    kept.append(asyncio.create_task(asyncio.sleep(60)))


@pytest.mark.parametrize("anyio_backend", ["trio"], indirect=True)
async def test_trio_task():
    trio.lowlevel.spawn_system_task(trio.sleep_forever)


async def test_clean():
    await anyio.to_thread.run_sync(int)
"""


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return what pytest prints of the leaking tests under the suite's own conftest."""
    folder = tmp_path_factory.mktemp("leaks")
    (folder / "conftest.py").write_text((ROOT / "tests" / "conftest.py").read_text())
    (folder / "pytest.ini").write_text("[pytest]\nanyio_mode = auto\nfilterwarnings = error\n")
    (folder / "test_it.py").write_text(LEAKS)
    options = ["-p", "no:cacheprovider", "-rA", f"--basetemp={folder / 'base'}"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "test_it.py"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "src")))},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout


@pytest.mark.parametrize(
    ("test", "complaint"),
    [
        ("test_descriptor", "left behind: {'descriptors': {"),
        ("test_thread", "left behind: {'threads': {<Thread("),
        ("test_child", "left behind: {'children': {"),
        ("test_file", "left behind: {'temporary files': {"),
        ("test_asyncio_task[asyncio]", 'tasks left behind: ["<Task pending'),
        ("test_trio_task[trio]", 'tasks left behind: ["TrioTaskInfo'),
    ],
)
def test_leak_fails_the_test_that_left_it(output: str, test: str, complaint: str) -> None:
    heading = f"ERROR at teardown of {test} "
    assert heading in output
    assert output.partition(heading)[2].splitlines()[1].startswith(complaint)


def test_clean_test_passes(output: str) -> None:
    assert "9 passed, 6 errors" in output
