"""A worker has one ``__main__``, however functions, items, initializer and results reach it."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

import pytest

from aconcur.errors import MissingRequirementError
from aconcur.parallel import Pool, StartMethod, open_pool
from tests.support.backends import on_one_loop
from tests.support.programs import run_program, without_cloudpickle

METHODS = get_args(StartMethod)

DEFINITIONS = """
import enum, functools, time
from dataclasses import dataclass

factor = 1
opened = {}

class Settings:
    factor = 1

class Colour(enum.Enum):
    RED = 1

@dataclass
class Square:
    side: int

def initialize(value):
    global factor
    factor = Settings.factor = value

def scaled(number):
    return factor * number

def set_in_class(number):
    return Settings.factor * number

@functools.lru_cache
def made_at(_):
    return time.monotonic_ns()

def cached(_):
    return made_at(0)

def connection(_):
    return opened.setdefault("one", time.monotonic_ns())

def area(shape):
    return shape.side ** 2 if isinstance(shape, Square) else "a stranger"

def is_red(colour):
    return colour is Colour.RED

def make(side):
    return Square(side)
"""

POOLS = """
async def main():
    for start in STARTS:
        async with open_pool(1, start=start, initializer=initialize, initargs=(10,)) as pool:
            made = await pool.map(make, [3]).collect()
            print(
                await pool.run(scaled, 2), await pool.map(scaled, [2]).collect(),
                await pool.run(area, Square(3)), await pool.map(area, [Square(3)]).collect(),
                await pool.run(is_red, Colour.RED), await pool.map(is_red, [Colour.RED]).collect(),
                len({await pool.run(connection, n) for n in range(3)}),
                len({await pool.run(cached, n) for n in range(3)}),
                [await pool.run(set_in_class, n) for n in range(3)],
                type(made[0]) is Square, made,
            )
"""
RIGHT = "20 [20] 9 [9] True [True] 1 1 [0, 10, 20] True [Square(side=3)]\n"
STARTS = "STARTS = 'exec', 'forkserver', 'fork', 'spawn'\n"
THREE = "STARTS = 'exec', 'forkserver', 'fork'\n"
HEAD = "import sys, anyio\nfrom aconcur import parallel\nfrom aconcur.parallel import open_pool\n"
GUARDED = "if __name__ == '__main__':\n    anyio.run(main)\n"


@pytest.fixture(params=["with cloudpickle", "without"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path | None:
    return without_cloudpickle(tmp_path) if request.param == "without" else None


def test_a_script_gives_the_same_with_and_without_cloudpickle(
    tmp_path: Path, path: Path | None
) -> None:
    text = HEAD + STARTS + DEFINITIONS + POOLS + GUARDED
    done = run_program(tmp_path, text, "-Werror", path=path)
    assert (done.stdout, done.stderr) == (RIGHT * len(METHODS), "")


def test_a_module_that_is_run_by_name_is_the_worker_s_main(
    tmp_path: Path, path: Path | None
) -> None:
    text = HEAD + "STARTS = 'exec', 'spawn'\n" + DEFINITIONS + POOLS + GUARDED
    (tmp_path / "application.py").write_text(text)
    done = run_program(tmp_path, "", "-m", "application", path=path)
    assert (done.stdout, done.stderr) == (RIGHT * 2, "")


def test_a_script_without_a_guard_is_not_run_twice(tmp_path: Path) -> None:
    text = HEAD + THREE + DEFINITIONS + POOLS + "print('run')\nanyio.run(main)\n"
    done = run_program(tmp_path, text)
    assert (done.stdout, done.stderr) == ("run\n" + RIGHT * 3, "")


def test_a_script_that_is_piped_in_works_with_cloudpickle(tmp_path: Path) -> None:
    text = HEAD + THREE + DEFINITIONS + POOLS + "anyio.run(main)\n"
    done = run_program(tmp_path, text, stdin=True)
    assert (done.stdout, done.stderr) == (RIGHT * 3, "")


@pytest.mark.parametrize("stdin", [True, False], ids=["piped in", "without a guard"])
def test_without_cloudpickle_the_remedy_is_named(tmp_path: Path, stdin: bool) -> None:
    text = HEAD + "STARTS = ['exec']\n" + DEFINITIONS + POOLS + "anyio.run(main)\n"
    done = run_program(tmp_path, text, path=without_cloudpickle(tmp_path), stdin=stdin)
    assert done.returncode == 1
    assert "aconcur[cloudpickle]" in done.stderr
    assert stdin or "if __name__ == '__main__'" in done.stderr


@pytest.mark.parametrize(
    ("stdin", "why"),
    [(True, "read from <stdin>"), (False, "no if __name__ == '__main__'")],
    ids=["piped in", "without a guard"],
)
def test_spawn_is_refused_where_multiprocessing_would_run_the_program_again(
    tmp_path: Path, path: Path | None, stdin: bool, why: str
) -> None:
    text = "STARTS = ['spawn']\nprint('run')\n" + HEAD + DEFINITIONS + POOLS
    done = run_program(tmp_path, text + "anyio.run(main)\n", path=path, stdin=stdin)
    assert (done.returncode, done.stdout) == (1, "run\n")
    assert f"{why}" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("aconcur.parallel")


def test_no_pool_is_opened_by_a_worker_of_multiprocessing_that_runs_main(tmp_path: Path) -> None:
    text = HEAD + DEFINITIONS + "from multiprocessing import get_context\nimport sys\n"
    text += """
async def main():
    async with open_pool(1) as pool:
        print(await pool.run(abs, -3), flush=True)

anyio.run(main)
process = get_context("spawn").Process(target=abs, args=(-3,))
process.start()
process.join()
print(process.exitcode)
"""
    done = run_program(tmp_path, text)
    assert done.stdout == "3\n1\n"
    assert "a worker runs __main__ to find a name" in done.stderr


EXECUTORS = """
async def main():
    with {executor} as executor:
        run = lambda fn, item: parallel.map(fn, [item], executor=executor).collect()
        print(await run(scaled, 2), await run(set_in_class, 2), await run(set_in_class, 2),
              len({{(await run(cached, n))[0] for n in range(3)}}),
              await run(area, Square(3)), await run(is_red, Colour.RED),
              await run(make, 3), type((await run(make, 3))[0]) is Square, Settings.factor)
"""


@pytest.mark.parametrize(
    ("executor", "scaled"),
    [
        ("ProcessPoolExecutor(1, get_context('spawn'), initialize, (10,))", 20),
        ("ProcessPoolExecutor(1, get_context('forkserver'), initialize, (10,))", 20),
        ("loky.ProcessPoolExecutor(1)", 2),
        ("loky.ProcessPoolExecutor(1, initializer=initialize, initargs=(10,))", 20),
    ],
)
def test_executors_of_others_have_one_main_too(tmp_path: Path, executor: str, scaled: int) -> None:
    imports = (
        "from concurrent.futures import ProcessPoolExecutor\n"
        "from multiprocessing import get_context\nimport loky\n"
    )
    text = HEAD + imports + DEFINITIONS + EXECUTORS.format(executor=executor) + GUARDED
    done = run_program(tmp_path, text)
    right = f"[{scaled}] [{scaled}] [{scaled}] 1 [9] [True] [Square(side=3)] True 1\n"
    assert done.stdout == right, done.stderr


def test_a_change_of_folder_loses_no_module(tmp_path: Path) -> None:
    (tmp_path / "neighbour.py").write_text("def here(): return 'here'\n")
    text = HEAD + "import os, neighbour\nasync def main():\n    os.chdir('/')\n"
    text += "    async with open_pool(1) as pool: print(await pool.run(neighbour.here))\n"
    done = run_program(tmp_path, text + "anyio.run(main)\n", stdin=True)
    assert (done.stdout, done.stderr) == ("here\n", "")


def test_a_module_beside_the_program_shadows_nothing_that_a_worker_needs(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for name in ("struct", "mmap", "select", "contextvars", "traceback"):
        (tmp_path / f"{name}.py").write_text("raise ImportError('the wrong one')\n")
    text = HEAD + "import os\nos.chdir(sys.argv[1])\nasync def main():\n"
    text += "    async with open_pool(1) as pool: print(await pool.run(abs, -3))\n" + GUARDED
    (elsewhere / "program.py").write_text(text.replace("sys.argv[1]", repr(str(tmp_path))))
    done = run_program(elsewhere, (elsewhere / "program.py").read_text())
    assert (done.stdout, done.stderr) == ("3\n", "")


# --- what is typed in


@pytest.fixture
def typed_in(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Return the namespace of a ``__main__`` that has no file, as in a notebook."""
    main = ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", main)
    exec(DEFINITIONS, vars(main))
    return vars(main)


@on_one_loop
async def test_a_notebook_s_changes_reach_the_worker(typed_in: dict[str, Any]) -> None:
    async with open_pool(1, initializer=typed_in["initialize"], initargs=(10,)) as pool:
        assert await pool.run(typed_in["scaled"], 2) == 20
        assert await pool.run(lambda: 3) == 3
        exec("factor = 7", typed_in)  # the cell ran again, with another value
        assert await pool.run(typed_in["scaled"], 2) == 14
        exec("def make(side): return Square(-side)", typed_in)
        exec("def use(side): return make(side)", typed_in)
        assert await pool.run(typed_in["use"], 3) == typed_in["Square"](-3)
        exec("def make(side): return Square(2 * side)", typed_in)
        assert await pool.run(typed_in["use"], 3) == typed_in["Square"](6)


async def test_a_change_of_a_class_reaches_the_worker_and_no_other_attribute_is_reset(
    typed_in: dict[str, Any], start: StartMethod
) -> None:
    settings = typed_in["Settings"]
    settings.name = "first"
    exec("def look(_): return Settings.name, Settings.factor", typed_in)
    async with open_pool(
        1, start=start, initializer=typed_in["initialize"], initargs=(10,)
    ) as pool:
        assert await pool.run(typed_in["look"], 0) == ("first", 10)
        settings.name = "second"
        assert await pool.run(typed_in["look"], 0) == ("second", 10)
        settings.name = "first"
        assert await pool.run(typed_in["look"], 0) == ("first", 10)
        exec("Settings.added = lambda: 3\ndef use(_): return Settings.added()", typed_in)
        assert await pool.run(typed_in["use"], 0) == 3


@on_one_loop
async def test_a_notebook_s_lambda_sees_what_the_initializer_has_set(
    typed_in: dict[str, Any],
) -> None:
    exec("look = lambda _: (factor, isinstance(Square(1), Square))", typed_in)
    async with open_pool(1, initializer=typed_in["initialize"], initargs=(10,)) as pool:
        assert await pool.map(typed_in["look"], [0]).collect() == [(10, True)]


@on_one_loop
async def test_without_cloudpickle_a_notebook_s_function_names_the_extra(
    typed_in: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cloudpickle", None)
    async with open_pool(1) as pool:
        with pytest.raises(MissingRequirementError, match=r"send scaled .*aconcur\[cloudpickle\]"):
            await pool.run(typed_in["scaled"], 2)


@on_one_loop
async def test_a_lambda_of_a_module_uses_that_module(pool: Pool) -> None:
    from tests.support import parallel_tasks as tasks

    await pool.run(tasks.initialize, 5)
    seen = {tuple(await pool.run(lambda: tuple(tasks.INITIALIZED))) for _ in range(9)}
    assert (5,) in seen
