"""Freeze a program with PyInstaller, and demand that its pools work or say why not.

``python -m tools.frozen_program`` needs ``pip install pyinstaller`` and takes a minute. The program
opens a pool in each way of starting; without ``freeze_support()`` it must end with an error instead
of starting itself for ever.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

ROOT: Final = Path(__file__).parents[1]
PROGRAM: Final = """
import multiprocessing, os, sys
from dataclasses import dataclass
import anyio
from aconcur.parallel import WorkerStartError, open_pool

@dataclass
class Square:
    side: int

total = 0

def initialize(number):
    global total
    total = number

def area(square):
    return total + square.side ** 2 if isinstance(square, Square) else "a stranger"

async def main():
    print("started", flush=True)
    for start in [name for name in sys.argv[2:] if name.isalpha()] or ["spawn"]:
        try:
            async with open_pool(1, start=start, initializer=initialize, initargs=(1,)) as pool:
                print(start, await pool.map(area, [Square(3), Square(4)]).collect())
        except WorkerStartError as error:
            print(start, "refused:", "freeze_support" in str(error))

if __name__ == "__main__":
    FIRST
    anyio.run(main, backend=sys.argv[1] if len(sys.argv) > 2 else "asyncio")
"""
RIGHT: Final = """started
exec refused: True
forkserver refused: True
fork [10, 17]
spawn [10, 17]
"""


def freeze(folder: Path, name: str, first: str) -> Path:
    """Return the frozen program whose first statement is given."""
    source = folder / f"{name}.py"
    source.write_text(PROGRAM.replace("FIRST", first))
    loops = ("asyncio", "trio")
    hidden = [f"--hidden-import=anyio._backends._{loop}" for loop in loops]
    subprocess.run(
        [
            *(sys.executable, "-m", "PyInstaller", "--onefile", "--log-level=ERROR"),
            *(f"--paths={ROOT / 'src'}", *hidden, str(source)),
        ],
        cwd=folder,
        check=True,
    )
    return folder / "dist" / name


def said(*command: str | Path) -> str:
    """Return what a program prints to stdout."""
    return subprocess.run(
        command, stdout=subprocess.PIPE, text=True, timeout=300, check=False
    ).stdout


def main() -> None:
    """Freeze and run both programs."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        good = freeze(folder, "good", "multiprocessing.freeze_support()")
        for backend in ("asyncio", "trio"):
            found = said(good, backend, "exec", "forkserver", "fork", "spawn")
            assert found == RIGHT, f"on {backend}: {found}"
        bad = said(freeze(folder, "bad", "pass"), "asyncio", "spawn")
        assert bad.endswith("spawn refused: False\n"), bad
        assert bad.count("started") < 50, bad
    print("frozen programs work")


if __name__ == "__main__":
    main()
