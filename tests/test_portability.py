"""Everything but commands works without POSIX, and commands say so in one sentence."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec

import pytest

BACKENDS = ["asyncio", *["trio"] * (find_spec("trio") is not None)]
PORTABLE = ("errors", "lock", "pipeline", "parallel", "life", "testing", "cli", "cli.command_line")

DOES = {
    "lock": """
from aconcur.lock import Guarded, ThreadGuarded
async def main():
    guarded, threads = Guarded(1), ThreadGuarded(2)
    await guarded.update(lambda value: value + 1)
    async with guarded as cell, threads as other:
        print(cell.value + other.value)
""",
    "pipeline": """
from aconcur.pipeline import THREADS, Queue, stage
async def double(number): return 2 * number
async def main():
    queue = Queue()
    await queue.put(1)
    doubled = await stage(double, workers=2).map(str, via=THREADS).collect([await queue.get(), 1])
    print(sum(map(int, doubled)))
""",
    "parallel": """
from concurrent.futures import ThreadPoolExecutor
from aconcur import parallel
async def main():
    with ThreadPoolExecutor(2) as executor:
        print(sum([root async for root in parallel.map(abs, [-1, -3], executor=executor)]))
""",
    "life": """
from aconcur.life import classic, simulate
async def main():
    async for generation in simulate(classic("glider"), stop=4, engine="hashlife"):
        number = generation.number
    print(number)
""",
    "testing": """
from anyio.lowlevel import checkpoint
from aconcur.testing import cancel_everywhere, explore
async def main():
    await checkpoint()
explore(main).check()
cancel_everywhere(main).check()
print(4)
""",
}
# A scenario of aconcur.testing starts event loops by itself.
RUN = "\nimport aconcur\naconcur.run(main, backend={backend!r})\n"


def without_posix(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", f"import tests.support.without_posix\n{code}"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("module", PORTABLE)
def test_a_portable_module_imports_without_posix(module: str) -> None:
    done = without_posix(f"import aconcur.{module}")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("module", DOES)
def test_a_portable_module_works_without_posix(module: str, backend: str) -> None:
    run = "" if module == "testing" else RUN.format(backend=backend)
    done = without_posix(DOES[module] + run)
    assert (done.returncode, done.stdout, done.stderr) == (0, "4\n", "")


def test_commands_say_what_is_missing_without_posix() -> None:
    done = without_posix("import aconcur.process")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "aconcur.errors.UnsupportedPlatformError: aconcur.process needs POSIX process groups, "
        "signals and pipes, which this system lacks: on Windows, run it in WSL"
    )


def test_a_command_line_that_needs_posix_ends_with_one_sentence() -> None:
    done = without_posix("from aconcur.cli import main\nmain(['digest', 'file'])")
    assert done.returncode == 1
    assert done.stderr.startswith("aconcur: aconcur.process needs POSIX")
    assert "Traceback" not in done.stderr
