"""Life beside its peers: ``python -m benchmarks.life [forms|torus|rules|plane|stream …]``.

The peers are what one writes with numpy.roll, and python-lifelib, which compiles itself with g++ at
its first use (about a minute) and knows the plane only; it is left out where it is not installed.
Golly's torus is run by ``bgolly``, the command line that comes with Golly (Debian's ``golly``),
where there is one: QuickLife, by its own time stamps, so that starting and reading do not count.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from importlib import import_module
from pathlib import Path
from random import Random
from statistics import median
from time import perf_counter
from typing import Any, TypeAlias

import anyio
import numpy as np

from aconcur.compare.figures import number_text, p99, spread
from aconcur.lessons.item40_coroutines import original
from aconcur.lessons.item40_coroutines.work import Grid as Rows
from aconcur.life import (
    Bounds,
    EngineName,
    Grid,
    Pattern,
    classic,
    generations,
    make_engine,
    read_rle,
    write_rle,
)
from benchmarks.side_by_side import compare_costs

Cost: TypeAlias = Callable[[], float]
ROUNDS = 9
# 24 operations; Conway's rule takes 18.
WORST_RULE = "B02456/S2456"
# Generations of a lesson's version: as many as the lesson itself measures.
FEW = 4
LESSON = "aconcur.lessons.item40_coroutines"


def cost(work: Callable[[], object], per: float = 1.0) -> Cost:
    """Return a function that does the work and returns how many µs it took, divided by ``per``."""

    def timed() -> float:
        began = perf_counter()
        work()
        return (perf_counter() - began) * 1e6 / per

    return timed


def rolled(cells: Any, n: int) -> Any:
    """Advance by n generations as most tutorials do."""
    for _ in range(n):
        total = sum(
            np.roll(cells, (dy, dx), (0, 1)) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if dy or dx
        )
        cells = ((total == 3) | ((cells == 1) & (total == 2))).astype(np.uint8)
    return cells


def lifelib_session() -> Any:
    """Return lifelib, compiled for Conway's rule; or None."""
    with suppress(ImportError):
        return import_module("lifelib").load_rules("b3s23")
    return None


def lifelib(session: Any, cells: Any, n: int) -> float:
    """Return the µs that a generation takes lifelib, in an empty tree.

    lifelib computes on the plane, so also the cells that leave the square.
    """
    pattern = session.lifetree(memory=1000).pattern("", rule="b3s23")
    height, width = cells.shape
    pattern[0:width, 0:height] = cells.T
    return cost(partial(pattern.__getitem__, n), n)()


def copy(words: Any, times: int) -> None:
    """Copy words from one place to another."""
    out = np.zeros_like(words)
    for _ in range(times):
        np.copyto(out, words)


def golly(bgolly: str, file: Path, n: int) -> float:
    """Return the µs that a generation takes Golly."""
    done = subprocess.run(
        [bgolly, "--benchmark", "--quiet", "--generation", str(n), str(file)],
        check=True,
        capture_output=True,
        text=True,
    )
    # One line for each generation: time and number.
    stamps = re.findall(r"^([\d.e-]+) ([\d,]+)$", done.stdout, re.MULTILINE)
    if stamps[-1][1] != f"{n:,}":
        raise RuntimeError(f"bgolly came to generation {stamps[-1][1]} of {n}")
    return (float(stamps[-1][0]) - float(stamps[0][0])) * 1e6 / n


def golly_version(bgolly: str) -> str:
    """Return Golly's name and version, which every run of bgolly prints."""
    done = subprocess.run([bgolly, "--help"], capture_output=True, text=True, check=False)
    found = re.search(r"This is bgolly (\S+)", done.stdout)
    return f"Golly {found[1]}" if found else "Golly"


def on_torus(soup: Grid, folder: str) -> Path:
    """Write a soup to a file that Golly reads as a torus."""
    file = Path(folder, f"{soup.height}.rle")
    bounds = Bounds("torus", soup.height, soup.width)
    file.write_text(write_rle(Pattern.from_grid(soup, bounds=bounds)))
    return file


def forms() -> None:
    """The lesson's versions: the cost of a generation by the size of a message."""
    rows = Rows.random(64, 64, Random(40)).to_rows()

    async def awaited(name: str, n: int) -> float:
        run = import_module(f"{LESSON}.{name}").run
        began = perf_counter()
        await run(rows, n)
        return (perf_counter() - began) * 1e6 / n

    cases = {"generators, yield from": cost(partial(original.run, rows, FEW), FEW)}
    for name in ("yield", "asend", "", "tasks", "blocks", "rows"):
        module = f"rebuilt_{name}".rstrip("_")
        n = 100 * FEW if name == "rows" else FEW
        cases[module] = partial(anyio.run, awaited, module, n)
    found = compare_costs("forms, 64 × 64", cases, unit="µs a generation", rounds=ROUNDS)
    for module, each in found.items():
        print(f"  {module}, speed against the generators: {each.speed}")


def torus() -> None:
    """Every engine on a random torus."""
    with tempfile.TemporaryDirectory() as folder:
        _torus(folder)


def _torus(folder: str) -> None:
    session = lifelib_session()
    for size, slow, fast in ((64, 20, 400), (256, 10, 200), (1024, 2, 40), (4096, 1, 4)):
        soup = Grid.random(size, size, seed=1)
        cells = soup.to_numpy()
        cases: dict[str, Cost] = {}
        # The fastest first: the table shows the others relative to it.
        names: tuple[EngineName, ...] = ("numba", "numpy", "bigint")
        for name in names:
            engine = make_engine(soup, engine=name)
            engine.step(2)
            n = fast * (8 if name == "numba" else 1)
            cases[name] = cost(partial(engine.step, n), n)
        cases["numpy.roll"] = cost(partial(rolled, cells, slow), slow)
        if session is not None:
            cases["lifelib, on the plane"] = partial(lifelib, session, cells, fast)
        if bgolly := shutil.which("bgolly"):
            cases[golly_version(bgolly)] = partial(golly, bgolly, on_torus(soup, folder), slow * 4)
        if size == 4096:
            words = np.ones(size * size // 64, np.uint64)
            cases["copying the bits"] = cost(partial(copy, words, 40), 40)
        compare_costs(f"torus {size} × {size}", cases, unit="µs a generation", rounds=ROUNDS)


def rules() -> None:
    """The rule with the largest circuit among 200 random rules, against Conway's."""
    names: tuple[EngineName, ...] = ("bigint", "numpy", "numba")
    for name in names:
        cases: dict[str, Cost] = {}
        for rule in ("B3/S23", WORST_RULE):
            # The work does not depend on the cells.
            engine = make_engine(Grid.random(1024, 1024, seed=1), rule, engine=name)
            engine.step(2)
            n = 200 if name == "numba" else 10
            cases[rule] = cost(partial(engine.step, n), n)
        title = f"rules on {name}, 1024 × 1024"
        compare_costs(title, cases, unit="µs a generation", rounds=ROUNDS)


def plane() -> None:
    """Known patterns from the first generation to the last, reading the pattern included."""
    session = lifelib_session()
    tasks = [("r-pentomino", 1103), ("acorn", 5206), ("lidka", 30_000)]
    tasks += [("gosper-glider-gun", 10**6), ("gosper-glider-gun", 2**40)]

    def lived(text: str, n: int, engine: EngineName) -> int:
        lives = make_engine(read_rle(text), engine=engine)
        lives.step(n)
        return lives.population

    for name, n in tasks:
        text = write_rle(classic(name))
        cases: dict[str, Cost] = {}
        if session is not None:

            def peer(text: str = text, n: int = n) -> int:
                # An empty tree: nothing is computed in advance.
                found: int = session.lifetree(memory=200).pattern(text)[n].population
                return found

            cases["lifelib"] = cost(peer, 1000)
        engines: tuple[EngineName, ...] = ("numba", "hashlife")
        for engine in engines:
            lived(text, 100, engine)
            cases[f"HashLife, {engine}"] = cost(partial(lived, text, n, engine), 1000)
        compare_costs(f"plane, {name}, generation {n}", cases, unit="ms", rounds=ROUNDS)


async def _stream(name: EngineName, size: int, every: int, chunks: int) -> tuple[float, float]:
    soup = Grid.random(size, size, seed=1)
    bare, streamed = (make_engine(soup, engine=name) for _ in range(2))
    bare.step(every)
    streamed.step(every)

    def loop() -> None:
        for _ in range(chunks):
            bare.step(every)
            _ = bare.population

    alone = cost(loop, chunks)()
    began = perf_counter()
    async for _ in generations(streamed, every=every, stop=every * chunks):
        pass
    return alone, (perf_counter() - began) * 1e6 / chunks


async def _lateness(name: EngineName, size: int, seconds: float) -> list[float]:
    """Return by how many ms each 1 ms sleep of another task was late."""
    late: list[float] = []
    engine = make_engine(Grid.random(size, size, seed=1), engine=name)
    engine.step(1)

    async def live() -> None:
        async for _ in generations(engine, every=10):
            pass

    async with anyio.create_task_group() as group:
        group.start_soon(live)
        await anyio.sleep(0.1)
        until = perf_counter() + seconds
        while (now := perf_counter()) < until:
            await anyio.sleep(0.001)
            late.append((perf_counter() - now - 0.001) * 1e3)
        group.cancel_scope.cancel()
    return late


def stream() -> None:
    """What an event loop costs an engine, and how late an engine makes other tasks."""
    tasks: list[tuple[EngineName, int, int, int]] = [
        ("bigint", 64, 10, 400),
        ("bigint", 1024, 1, 40),
        ("numpy", 1024, 1, 100),
        ("numba", 1024, 2, 400),
        ("numba", 4096, 20, 5),
    ]
    for backend in ("asyncio", "trio"):
        for name, size, every, chunks in tasks:
            pairs = [
                anyio.run(_stream, name, size, every, chunks, backend=backend)
                for _ in range(ROUNDS)
            ]
            speed = spread([alone / streamed for alone, streamed in pairs])
            print(
                f"{backend}: {name} {size}², chunks of {pairs[0][0]:.0f} µs: "
                f"× {speed.middle:.2f} ({speed.low:.2f}–{speed.high:.2f}) of the bare loop's speed"
            )
        beside: list[tuple[EngineName, int]] = [("bigint", 64), ("numpy", 1024), ("numba", 4096)]
        for name, size in beside:
            late = anyio.run(_lateness, name, size, 10.0, backend=backend)
            print(
                f"{backend}: beside {name} {size}² a sleeper is late by {median(late):.2f} ms, "
                f"p99 {number_text(p99(late))} ms of {len(late)}"
            )


CASES = {"forms": forms, "torus": torus, "rules": rules, "plane": plane, "stream": stream}


def main(*names: str) -> None:
    if strange := set(names) - set(CASES):
        sys.exit(f"no such case: {', '.join(sorted(strange))}; known: {', '.join(CASES)}")
    for name in names or CASES:
        CASES[name]()


if __name__ == "__main__":
    main(*sys.argv[1:])
