"""Run in under a minute what a change usually breaks: ``python -m tools.check [CHECK …]``.

============  ====================================================================================
``lint``      ruff, ruff's formatter, and flake8-async on changed files
``types``     mypy in strict mode
``house``     tests of the layout, the prose, the documents, and the public names
``changed``   tests of what you changed: for ``src/aconcur/lock/_guarded.py``, all test files in
              ``tests/lock`` whose name begins with ``test_guarded``; and test files themselves
============  ====================================================================================

Without a name, all four run, two commands at a time. What differs from ``main`` counts as changed,
whether it is committed or not. ``--all`` gives flake8-async all files, which takes minutes. That,
the full suite, the type completeness of the public API and a look at what is shipped:
``bash .ci/run``.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import time
from collections.abc import Callable, Container, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

ROOT: Final = Path(__file__).parents[1]
Command: TypeAlias = "list[str]"
PYTEST: Final = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]

HOUSE: Final = (
    "tests/test_architecture.py",
    "tests/test_guarantees.py",
    "tests/test_import.py",
    "tests/test_prose.py",
)


class AsyncLint(NamedTuple):
    """Files that flake8-async checks with the same rules switched off."""

    files: Sequence[str]
    """Patterns of ``git ls-files``."""
    disabled: str
    """Codes of rules, separated by commas."""


# flake8-async takes files and no folders, and has no settings for single files.
ASYNC_LINTS: Final = (
    AsyncLint(
        ["src/*.py", "examples/*.py", ":!src/aconcur/lessons/*", ":!*/_pool_worker/*"],
        disabled="",
    ),
    # Lessons show the notes' own code, and asyncio as its documentation writes it.
    AsyncLint(
        ["src/aconcur/lessons/*.py", ":!*/item40_coroutines/*"],
        disabled="ASYNC9,ASYNC106,ASYNC115,ASYNC121,ASYNC124",
    ),
    # No event loop runs in a worker process: what it catches is an error of the user's function.
    AsyncLint(["src/aconcur/_pool_worker/*.py"], disabled="ASYNC9,ASYNC103,ASYNC104"),
    # Benchmarks measure code that has nothing to await, blocks, or is wrong on purpose.
    AsyncLint(["benchmarks/*.py"], disabled="ASYNC9,ASYNC103,ASYNC104,ASYNC110,ASYNC124,ASYNC221"),
    # Item 40 shows async generators that never await, and some that yield in a context manager.
    AsyncLint(
        ["*/item40_coroutines/*.py", ":!*/original_py2.py"], disabled="ASYNC9,ASYNC119,ASYNC124"
    ),
    # Tests poll for what other processes do, and start tasks that end before what they use closes.
    AsyncLint(["tests/*.py"], disabled="ASYNC9,ASYNC102,ASYNC110,ASYNC111,ASYNC124"),
)
# flake8-async takes half a second a file, on one core.
ASYNC_LINT_FILES: Final = 40
"""How many files one process of flake8-async gets, so that all cores have work."""
ASYNC_LINT_NEEDS: Final = re.compile(rb"async|BaseException|except:")
"""What each rule of flake8-async looks for; a file without any of it cannot break one."""


def lint() -> Iterator[Command]:
    """Yield the commands that check style, and the use of async in changed files."""
    yield from lint_all(set(changed_files()))


def lint_all(only: Container[str] | None = None) -> Iterator[Command]:
    """Yield the commands that check style, and the use of async in all files or some."""
    yield ["ruff", "check", "--quiet"]
    yield ["ruff", "format", "--check", "--quiet"]
    for group in ASYNC_LINTS:
        files = [
            file
            for file in git("ls-files", *group.files)
            if (only is None or file in only)
            and (ROOT / file).exists()
            and ASYNC_LINT_NEEDS.search((ROOT / file).read_bytes())
        ]
        disabled = ["--disable", group.disabled] if group.disabled else []
        for start in range(0, len(files), ASYNC_LINT_FILES):
            yield ["flake8-async", *files[start : start + ASYNC_LINT_FILES], *disabled]


def types() -> Iterator[Command]:
    """Yield the command that checks types."""
    yield ["mypy"]


def house() -> Iterator[Command]:
    """Yield the tests that read the sources and documents and run nothing of them."""
    yield [*PYTEST, *filter(lambda test: (ROOT / test).exists(), HOUSE)]


def changed() -> Iterator[Command]:
    """Yield the tests of changed files."""
    if tests := sorted(set(tests_of(changed_files()))):
        yield [*PYTEST, "-n", "2", *tests]


CHECKS: Final[dict[str, Callable[[], Iterator[Command]]]] = {
    "lint": lint,
    "types": types,
    "house": house,
    "changed": changed,
}


def tests_of(files: Sequence[str]) -> Iterator[str]:
    """Yield the test files of modules and of changed tests; conftests and helpers have none."""
    for name in files:
        file = Path(name)
        if file.match("tests/**/test_*.py") or file.match("tests/test_*.py"):
            yield from [name] * (ROOT / file).exists()
        elif file.suffix == ".py" and file.parts[:2] == ("src", "aconcur") and len(file.parts) > 3:
            folder = ROOT / "tests" / file.parts[2]
            for found in folder.rglob(f"test_{file.stem.lstrip('_')}*.py"):
                yield str(found.relative_to(ROOT))


def changed_files() -> list[str]:
    """Return the files that differ from ``main``, committed or not, and those that git ignores not.

    On ``main`` itself, or without it, only what is not committed counts.
    """
    base = git("merge-base", "main", "HEAD") or ["HEAD"]
    return [
        *git("diff", "--name-only", base[0]),
        *git("ls-files", "--others", "--exclude-standard"),
    ]


def git(*arguments: str) -> list[str]:
    """Return the lines that git prints; none if it fails."""
    done = subprocess.run(
        ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.stdout.splitlines() if done.returncode == 0 else []


class Result(NamedTuple):
    """How the commands of a check went."""

    name: str
    seconds: float
    """How long they ran, added up."""
    complaints: str

    def __str__(self) -> str:
        verdict = "FAILED" if self.complaints else "ok"
        return f"{self.name:8} {verdict:6} {self.seconds:5.1f} s"


def run(command: Command) -> tuple[float, str]:
    """Run a command; return how many seconds it took, and what it prints if it fails."""
    began = time.monotonic()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    complaints = ""
    if done.returncode:
        complaints = done.stdout + done.stderr or f"{command[0]} exits with {done.returncode}"
    return time.monotonic() - began, complaints


def main() -> None:
    """Run the checks that the command line names, and print what fails; exit with 1 then."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.check",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("checks", nargs="*", metavar="CHECK", help=", ".join(CHECKS))
    parser.add_argument("--all", action="store_true", help="flake8-async on all files")
    options = parser.parse_args()
    checks = CHECKS | {"lint": lint_all} if options.all else CHECKS
    names = options.checks or list(CHECKS)
    if unknown := [name for name in names if name not in CHECKS]:
        parser.error(f"unknown check {unknown[0]!r}: choose from {', '.join(CHECKS)}")
    with ThreadPoolExecutor(2) as pool:
        running = [(name, [pool.submit(run, one) for one in checks[name]()]) for name in names]
        results = []
        for name, commands in running:
            done = [one.result() for one in commands]
            complaints = "".join(complaint for _, complaint in done)
            results.append(Result(name, sum(seconds for seconds, _ in done), complaints))
    for result in results:
        if result.complaints:
            print(result.complaints.rstrip(), end="\n\n")
    print(*results, sep="\n")
    sys.exit(any(result.complaints for result in results))


if __name__ == "__main__":
    main()
