"""Plant one fault at a time in a copy of the sources, and require that a test notices each.

``python -m tests.mutants [PART …]`` reads ``tests/mutants/PART.toml`` (all of them by default).
For each fault it runs the tests that the fault names against the changed copy. The fault is noticed
if a test fails; it is not if all pass, and not if the tests run into their time limit: a hang shows
that something is wrong, but not what. Before that it runs the same tests once on unchanged sources,
where they must pass.

A fault is a table with these keys:

=========  =================================================================================
``file``   the source file, below ``src/aconcur/PART``
``old``    text that stands exactly once in it
``new``    the text to put in its place
``test``   a test file below ``tests/PART``, with an optional ``-k 'expression'`` for pytest
``why``    what a user would suffer
=========  =================================================================================

Options: ``--only TEXT`` runs the faults whose file, reason or test contains TEXT; ``--jobs N`` runs
N at a time (2 by default).
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent
ROOT: Final = FOLDER.parents[1]
FAILED: Final = 1  # pytest's exit code when tests ran and some failed
# pytest-timeout's message, of a test that hangs
HANGS: Final = "Failed: Timeout (>"


@dataclass(frozen=True)
class Fault:
    """One change of the sources, and the tests that must notice it."""

    part: str
    file: str
    old: str
    new: str
    test: str
    why: str

    @property
    def source(self) -> Path:
        """The changed file, below ``src/aconcur``."""
        return Path(self.part, self.file)

    @property
    def selection(self) -> tuple[str, str]:
        """The test file, and pytest's ``-k`` expression or an empty string."""
        file, _, expression = self.test.partition(" -k ")
        return f"tests/{self.part}/{file}", expression.strip("'\"")


def read_faults(parts: Iterable[str]) -> list[Fault]:
    """Return the faults of the given parts, or of all if none is given."""
    names = sorted(parts) or sorted(path.stem for path in FOLDER.glob("*.toml"))
    faults = []
    for name in names:
        table = tomllib.loads((FOLDER / f"{name}.toml").read_text(encoding="utf-8"))
        faults += [Fault(part=name, **entry) for entry in table["mutant"]]
    return faults


def why_alive(fault: Fault) -> str:
    """Return why the fault was not noticed, or an empty string if it was."""
    with copied_sources() as folder:
        file = Path(folder, "aconcur", fault.source)
        text = file.read_text(encoding="utf-8")
        if text.count(fault.old) != 1:
            return f"{fault.old!r} stands {text.count(fault.old)} times in {fault.source}"
        file.write_text(text.replace(fault.old, fault.new), encoding="utf-8")
        done = run_tests(*fault.selection, folder)
    if done.returncode == FAILED:
        return "its tests hang: no assertion says what is wrong" if HANGS in done.stdout else ""
    return verdict(done)


def why_failing(selection: tuple[str, str]) -> str:
    """Return how tests fail on unchanged sources, or an empty string if they pass."""
    with copied_sources() as folder:
        done = run_tests(*selection, folder)
    return verdict(done) if done.returncode else ""


@contextmanager
def copied_sources() -> Iterator[str]:
    """Yield a folder with a copy of the sources; at the end kill the processes that use it."""
    with tempfile.TemporaryDirectory() as folder:
        # With the bytecode: it stays valid, since times are copied too, but for the fault's file.
        shutil.copytree(ROOT / "src" / "aconcur", Path(folder, "aconcur"))
        try:
            yield folder
        finally:
            kill_users_of(folder)


def selections(faults: Iterable[Fault]) -> list[tuple[str, str]]:
    """Return the selections of all faults, joined to one expression for each test file."""
    files: dict[str, set[str]] = {}
    for fault in faults:
        file, expression = fault.selection
        files.setdefault(file, set()).add(expression)
    return [
        (file, "" if "" in several else " or ".join(f"({one})" for one in sorted(several)))
        for file, several in files.items()
    ]


def run_tests(file: str, expression: str, folder: str) -> subprocess.CompletedProcess[str]:
    """Run the selected tests against the sources in ``folder``."""
    arguments = [file, "-x", "-q", "-p", "no:cacheprovider"]
    if expression:
        arguments += ["-k", expression]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *arguments],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": folder},
        capture_output=True,
        text=True,
        check=False,
    )


def verdict(done: subprocess.CompletedProcess[str]) -> str:
    """Return pytest's exit code and its last line."""
    last = (done.stdout.strip() or done.stderr.strip()).rpartition("\n")[2]
    return f"pytest exits with {done.returncode}: {last}"


def kill_users_of(folder: str) -> None:
    """Kill the processes that a broken source left running: those with its folder on PYTHONPATH."""
    for environment in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if f"PYTHONPATH={folder}".encode() in environment.read_bytes().split(b"\0"):
                os.kill(int(environment.parent.name), signal.SIGKILL)


def main() -> None:
    """Plant every fault, and name those that no test noticed."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART")
    parser.add_argument("--only", default="", metavar="TEXT")
    parser.add_argument("--jobs", type=int, default=2, metavar="N")
    options = parser.parse_args()
    faults = [
        fault
        for fault in read_faults(options.parts)
        if options.only in f"{fault.file} {fault.why} {fault.test}"
    ]
    chosen = selections(faults)
    with ThreadPoolExecutor(options.jobs) as pool:
        unbroken = list(pool.map(why_failing, chosen))
        for (file, _), failure in zip(chosen, unbroken, strict=True):
            if failure:
                print(f"FAILS without a fault, {file}: {failure}")
        if any(unbroken):
            sys.exit(1)
        verdicts = []
        for fault, alive in zip(faults, pool.map(why_alive, faults), strict=True):
            verdicts.append(alive)
            if alive:
                print(f"ALIVE {fault.source}: {fault.why}: {alive}", flush=True)
    for part in sorted({fault.part for fault in faults}):
        of_part = [v for fault, v in zip(faults, verdicts, strict=True) if fault.part == part]
        print(f"{part}: {of_part.count('')} of {len(of_part)} faults noticed")
    sys.exit(any(verdicts))


if __name__ == "__main__":
    main()
