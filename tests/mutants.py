"""Break the lessons on purpose, one fault at a time, and demand that a test notices each.

``python -m tests.mutants`` applies every change of mutants.toml to a copy of the sources, runs the
tests that it names against that copy, and exits with 1 if one of them still passes.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).parents[1]
LESSONS = "aconcur/lessons"
FAILED = 1  # pytest's exit code when tests ran and some failed


def survives(mutant: Mapping[str, str]) -> str:
    """Return what is wrong with the tests, or nothing if they noticed."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "aconcur"
        shutil.copytree(ROOT / "src" / "aconcur", copy)
        file = Path(folder) / LESSONS / mutant["file"]
        text = file.read_text(encoding="utf-8")
        if text.count(mutant["old"]) != 1:
            return f"{mutant['old']!r} stands {text.count(mutant['old'])} times in {file.name}"
        file.write_text(text.replace(mutant["old"], mutant["new"]), encoding="utf-8")
        try:
            done = run_tests(mutant["test"], folder)
        finally:
            end_leftovers(folder)
    if done.returncode == FAILED:
        return ""
    last = (done.stdout.strip() or done.stderr.strip()).rpartition("\n")[2]
    return f"pytest exits with {done.returncode}: {last}"


def run_tests(selected: str, folder: str) -> subprocess.CompletedProcess[str]:
    """Run the named tests against the sources in ``folder``."""
    file, _, expression = selected.partition(" -k ")
    arguments = [f"tests/lessons/{file}", "-x", "-q", "-p", "no:cacheprovider"]
    if expression:
        arguments += ["-k", expression.strip("'\"")]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *arguments],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": folder, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def end_leftovers(folder: str) -> None:
    """Kill what a broken lesson left running: whatever has its sources on PYTHONPATH."""
    for environment in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if f"PYTHONPATH={folder}".encode() in environment.read_bytes().split(b"\0"):
                os.kill(int(environment.parent.name), signal.SIGKILL)


def main() -> None:
    """Try every mutant, two at a time, and say which ones live."""
    mutants = tomllib.loads((ROOT / "tests" / "mutants.toml").read_text())["mutant"]
    with ThreadPoolExecutor(2) as pool:
        verdicts = list(pool.map(survives, mutants))
    for mutant, verdict in zip(mutants, verdicts, strict=True):
        if verdict:
            print(f"ALIVE {mutant['file']}: {mutant['why']}: {verdict}")
    print(f"{verdicts.count('')} of {len(mutants)} mutants noticed")
    sys.exit(any(verdicts))


if __name__ == "__main__":
    main()
