"""What the process holds besides its tasks, so that two moments can be compared.

Rule: this file looks, and changes nothing but what a ``with`` block restores.
Rule: tasks belong to a loop, so the back-ends count them.
"""

from __future__ import annotations

__all__ = ("Snapshot", "adopting_orphans", "temporary_files_in")

import ctypes
import os
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Final, final

# linux/prctl.h; prctl(2)
_PR_SET_CHILD_SUBREAPER: Final = 36
_PR_GET_CHILD_SUBREAPER: Final = 37

# trio keeps an idle thread for ten seconds, by design. Before Python 3.12 asyncio waits for a
# child in a thread that ends with the child, which is counted itself.
_WAITPID: Final = "asyncio-waitpid-"
_KEPT_THREADS: Final = ("Trio thread ", _WAITPID)


@final
@dataclass(frozen=True, slots=True)
class Snapshot:
    """What this process holds at one moment, besides tasks.

    Take one before and one after; :meth:`since` is what was left behind in between::

        before = Snapshot.take()
        work()
        assert not Snapshot.take().since(before)

    What lives long by design is not held: multiprocessing's resource tracker and its pipe, the
    guardian of ``aconcur.process`` and its two descriptors, trio's idle threads, the threads in
    which asyncio waits for a child before Python 3.12.

    Descriptors and children are read from ``/proc`` (proc(5)); on a system without it both stay
    empty. A grandchild whose parent has ended is seen only by a process that adopts orphans.
    """

    descriptors: Mapping[int, str]
    """What each open file descriptor points to: a path, or such as ``pipe:[4711]``."""
    children: Mapping[int, str]
    """The command's name of each process below this one by its pid; a dead one says so."""
    threads: AbstractSet[threading.Thread]
    """The threads that are alive."""
    files: AbstractSet[Path]
    """The entries of the folder that :meth:`take` was given."""

    @classmethod
    def take(cls, folder: Path | None = None) -> Snapshot:
        """Look at the process, and at the entries of ``folder``, if given.

        Costs about 0.1 ms with a dozen descriptors and threads.

        Raises:
            OSError: ``folder`` cannot be listed.
        """
        return cls(_descriptors(), _children(), _threads(), set(folder.iterdir() if folder else ()))

    def is_busier_now(self) -> bool:
        """Return whether a thread or a child process is there that was not held then.

        A thread in which asyncio waits for a child counts: it has yet to tell its loop.
        """
        return bool(
            _threads() - self.threads
            or any(thread.name.startswith(_WAITPID) for thread in threading.enumerate())
            or _children().keys() - self.children.keys()
        )

    def since(self, before: Snapshot) -> Snapshot:
        """Return what is held here and was not held ``before``."""
        return Snapshot(
            {fd: to for fd, to in self.descriptors.items() if before.descriptors.get(fd) != to},
            {pid: name for pid, name in self.children.items() if pid not in before.children},
            self.threads - before.threads,
            self.files - before.files,
        )

    def __bool__(self) -> bool:
        return any((self.descriptors, self.children, self.threads, self.files))

    def __str__(self) -> str:
        held = {
            "descriptors": dict(self.descriptors),
            "children": dict(self.children),
            "threads": set(self.threads),
            "temporary files": set(self.files),
        }
        return str({kind: things for kind, things in held.items() if things})


def _descriptors() -> dict[int, str]:
    if not Path("/proc/self/fd").is_dir():
        return {}
    found: dict[int, str] = {}
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - Path.iterdir stats a fd that is gone
        with suppress(FileNotFoundError):
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")  # noqa: PTH115 - text, not Path
    tracker: int | None = resource_tracker._resource_tracker._fd  # type: ignore[attr-defined]
    if tracker is not None:
        found.pop(tracker, None)
    # Loaded with aconcur.process only, which not every system has.
    if (module := sys.modules.get("aconcur._core.guardian")) is not None:
        for fd in module.guardian.descriptors():
            found.pop(fd, None)
    return found


def _children() -> dict[int, str]:
    found: dict[int, str] = {}
    tracker: int | None = resource_tracker._resource_tracker._pid  # type: ignore[attr-defined]
    parents = [os.getpid()]
    while parents:
        for pid in _children_of(parents.pop()):
            if pid != tracker and (name := _name(pid)) and not _is_guardian(pid, name):
                found[pid] = name
                parents.append(pid)
    return found


def _children_of(pid: int) -> Iterator[int]:
    with suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208 - ten times a Path's speed
            with suppress(OSError), open(f"/proc/{pid}/task/{thread}/children", "rb") as children:  # noqa: PTH123
                yield from map(int, children.read().split())


def _is_guardian(pid: int, name: str) -> bool:
    """Return whether a process is the guardian of aconcur.process, which ends with the program.

    It is an orphan on purpose, so it is a child of this program only while orphans are adopted.
    """
    if name != "sh":
        return False
    try:
        return b"\0aconcur-guardian\0" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def _name(pid: int) -> str:
    """Return the command's name, or nothing if the process has gone meanwhile."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    name, _, rest = stat.partition("(")[2].rpartition(")")
    return f"{name} (dead, never waited for)" if rest.split()[0] == "Z" else name


def _threads() -> set[threading.Thread]:
    return {t for t in threading.enumerate() if not t.name.startswith(_KEPT_THREADS)}


@contextmanager
def adopting_orphans() -> Iterator[None]:
    """Become the parent of every process below this one whose own parent ends (Linux only).

    Such a process is then found among the children, where it would be init's otherwise, and must
    be waited for here. The former state is restored after the block.

    Source: prctl(2), PR_SET_CHILD_SUBREAPER.
    """
    if sys.platform != "linux":
        yield
        return
    prctl = ctypes.CDLL(None).prctl
    before = ctypes.c_int()
    prctl(_PR_GET_CHILD_SUBREAPER, ctypes.byref(before), 0, 0, 0)
    prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        prctl(_PR_SET_CHILD_SUBREAPER, before.value, 0, 0, 0)


@contextmanager
def temporary_files_in(folder: Path) -> Iterator[Path]:
    """Send every temporary file of this process and its children to ``folder``."""
    before = os.environ.get("TMPDIR"), tempfile.tempdir
    os.environ["TMPDIR"], tempfile.tempdir = str(folder), str(folder)
    try:
        yield folder
    finally:
        tempfile.tempdir = before[1]
        if before[0] is None:
            os.environ.pop("TMPDIR", None)
        else:
            os.environ["TMPDIR"] = before[0]
