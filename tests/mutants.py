"""Break the sources on purpose, one fault at a time, and demand that a test notices each.

``python -m tests.mutants`` applies every change of mutants.toml to a copy of the sources, runs the
tests that it names against that copy, and exits with 1 if one of them still passes. First it runs
all these tests on whole sources, once, where they must pass: else nothing follows from a failure.
``part`` says where a mutant's file and tests are: lessons, if it does not.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeAlias

ROOT = Path(__file__).parents[1]
FAILED = 1  # pytest's exit code when tests ran and some failed
Mutant: TypeAlias = Mapping[str, str]


def survives(mutant: Mutant) -> str:
    """Return what is wrong with the tests, or nothing if they noticed."""
    with sources() as folder:
        file = Path(folder) / "aconcur" / part_of(mutant) / mutant["file"]
        text = file.read_text(encoding="utf-8")
        if text.count(mutant["old"]) != 1:
            return f"{mutant['old']!r} stands {text.count(mutant['old'])} times in {file.name}"
        file.write_text(text.replace(mutant["old"], mutant["new"]), encoding="utf-8")
        done = run_tests(*selected(mutant), folder)
    return "" if done.returncode == FAILED else verdict(done)


def fails_unbroken(selection: tuple[str, str]) -> str:
    """Return what tests of one file say of whole sources, or nothing if they pass."""
    with sources() as folder:
        done = run_tests(*selection, folder)
    return verdict(done) if done.returncode else ""


@contextmanager
def sources() -> Iterator[str]:
    """Lend a folder with a copy of the sources; kill what was left running there."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(ROOT / "src" / "aconcur", Path(folder) / "aconcur")
        try:
            yield folder
        finally:
            end_leftovers(folder)


def part_of(mutant: Mutant) -> str:
    """Return the folder of the mutant's file and tests."""
    return mutant.get("part", "lessons")


def selected(mutant: Mutant) -> tuple[str, str]:
    """Return the test file that a mutant names, and pytest's expression."""
    file, _, expression = mutant["test"].partition(" -k ")
    return f"tests/{part_of(mutant)}/{file}", expression.strip("'\"")


def selections(mutants: Iterable[Mutant]) -> list[tuple[str, str]]:
    """Return what all mutants select, one expression a file."""
    files: dict[str, set[str]] = {}
    for mutant in mutants:
        file, expression = selected(mutant)
        files.setdefault(file, set()).add(expression)
    return [
        (file, "" if "" in several else " or ".join(f"({one})" for one in sorted(several)))
        for file, several in files.items()
    ]


def run_tests(file: str, expression: str, folder: str) -> subprocess.CompletedProcess[str]:
    """Run the named tests against the sources in ``folder``."""
    arguments = [file, "-x", "-q", "-p", "no:cacheprovider"]
    if expression:
        arguments += ["-k", expression]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *arguments],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": folder, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def verdict(done: subprocess.CompletedProcess[str]) -> str:
    """Return how pytest ended, and its last words."""
    last = (done.stdout.strip() or done.stderr.strip()).rpartition("\n")[2]
    return f"pytest exits with {done.returncode}: {last}"


def end_leftovers(folder: str) -> None:
    """Kill what a broken lesson left running: whatever has its sources on PYTHONPATH."""
    for environment in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if f"PYTHONPATH={folder}".encode() in environment.read_bytes().split(b"\0"):
                os.kill(int(environment.parent.name), signal.SIGKILL)


def main() -> None:
    """Try every mutant, two at a time, and say which ones live."""
    mutants = tomllib.loads((ROOT / "tests" / "mutants.toml").read_text(encoding="utf-8"))["mutant"]
    chosen = selections(mutants)
    with ThreadPoolExecutor(2) as pool:
        unbroken = list(pool.map(fails_unbroken, chosen))
        for (file, _), failure in zip(chosen, unbroken, strict=True):
            if failure:
                print(f"FAILS without a fault, {file}: {failure}")
        if any(unbroken):
            sys.exit(1)
        verdicts = list(pool.map(survives, mutants))
    for mutant, wrong in zip(mutants, verdicts, strict=True):
        if wrong:
            print(f"ALIVE {mutant['file']}: {mutant['why']}: {wrong}")
    print(f"{verdicts.count('')} of {len(mutants)} mutants noticed")
    sys.exit(any(verdicts))


if __name__ == "__main__":
    main()
