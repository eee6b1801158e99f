"""Programs to run, and ways to see what they left."""

from __future__ import annotations

__all__ = (
    "IGNORES_TERM",
    "children",
    "children_of",
    "descriptors",
    "free_files",
    "lives",
    "noted_pids",
    "python",
    "sh",
)

import os
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from aconcur.process import Command

IGNORES_TERM: Final = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
open(f"{sys.argv[1]}/pid.{os.getpid()}", "w").close()
while True: time.sleep(1)
"""


def python(code: str, *args: str | Path) -> Command:
    """Return a command that runs Python, started as quickly as can be."""
    return Command(sys.executable, "-ISc", code, *args)


def sh(script: str) -> Command:
    return Command("sh", "-c", script)


def lives(pid: int) -> bool:
    """Say whether a process runs: a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def noted_pids(folder: Path) -> list[int]:
    """Return the processes that made a file ``pid.N`` here."""
    return [int(file.suffix[1:]) for file in folder.glob("pid.*")]


def children_of(pid: int) -> list[int]:
    """Return the processes that a process has started and not reaped."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for file in tasks for child in file.read_text().split()]


def children() -> list[str]:
    """Return the processes that this one has started and not reaped."""
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a count


@contextmanager
def free_files(count: int) -> Iterator[None]:
    """Let this process open no more than so many files."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken: list[int] = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (300, limits[1]))
    try:
        with suppress(OSError):
            while True:
                taken.append(os.open(os.devnull, os.O_RDONLY))
        for _ in range(count):
            os.close(taken.pop())
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        for fd in taken:
            os.close(fd)
