"""Wait until a run's last traces have gone, and take away what stays.

Rule: only what is new since the run began is waited for, reaped, killed or closed.
"""

from __future__ import annotations

__all__ = ("SETTLE", "end_leftovers", "join_child_watchers", "settle", "young_garbage_only")

import gc
import io
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import process as multiprocessing_process
from pathlib import Path
from typing import Any, Final

from aconcur.testing._leaks.snapshot import Snapshot

# A guess: ten times what a killed process or an idle worker thread takes to go on a busy machine.
SETTLE: Final = 0.1
_PAUSE: Final = 0.002


@contextmanager
def young_garbage_only() -> Iterator[None]:
    """Let gc.collect() in the block look only at what the block makes.

    A full collection of a test session's heap takes 0.1 s, many times a run. If somebody has frozen
    that heap it stays frozen after the block, and with it what was alive when the block began.
    """
    gc.collect()
    # Python 3.12 keeps some immortal objects among those that are frozen.
    frozen = gc.get_freeze_count() > len(gc.get_objects())
    gc.freeze()
    try:
        yield
    finally:
        if not frozen:
            gc.unfreeze()


def settle(before: Snapshot, folder: Path) -> Snapshot:
    """Return what is left since ``before``, once threads and killed processes had time to go.

    Costs nothing when nothing is left, and 0.1 s when a thread or child stays.
    """
    gc.collect()
    end = time.monotonic() + SETTLE
    while True:
        join_child_watchers(_PAUSE)
        left = Snapshot.take(folder).since(before)
        if left.children and (orphans := _dead(left) - _awaited_pids()):
            # Its parent has gone before it, so init would wait for it if we had not adopted it.
            _reap(orphans)
            continue
        if not (left.children or left.threads) or time.monotonic() > end:
            return left
        time.sleep(_PAUSE)


def end_leftovers(left: Snapshot, before: Snapshot, folder: Path) -> None:
    """Kill the children, close the descriptors, delete the files; threads cannot be ended."""
    _close(left.descriptors)
    for file in left.files:
        if file.is_dir() and not file.is_symlink():
            shutil.rmtree(file, ignore_errors=True)
        else:
            file.unlink(missing_ok=True)
    end = time.monotonic() + 10 * SETTLE
    while left.children and time.monotonic() < end:
        for pid in left.children:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        _reap(left.children)
        join_child_watchers(_PAUSE)
        left = Snapshot.take(folder).since(before)
        time.sleep(_PAUSE)


def join_child_watchers(seconds: float) -> None:
    """Let the threads end in which asyncio waits for a child before Python 3.12.

    Such a thread ends right after its child; at most ``seconds`` are spent on each.
    """
    for thread in threading.enumerate():
        if thread.name.startswith("asyncio-waitpid-"):
            thread.join(seconds)


def _dead(left: Snapshot) -> set[int]:
    return {pid for pid, name in left.children.items() if name.endswith("waited for)")}


def _awaited_pids() -> set[int]:
    """Return the children of which some object of this process means to fetch the status."""
    dropped: list[subprocess.Popen[Any]] = subprocess._active or []  # type: ignore[attr-defined]
    processes = multiprocessing_process._children  # type: ignore[attr-defined]
    owners = [o for o in gc.get_objects() if issubclass(type(o), subprocess.Popen)]
    return {owner.pid for owner in (*owners, *dropped, *processes)}


def _reap(pids: Collection[int]) -> None:
    for pid in pids:
        with suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)


def _close(descriptors: Collection[int]) -> None:
    """Close through the owning object, if there is one, or it would close the number once more."""
    for thing in gc.get_objects() if descriptors else ():
        if issubclass(type(thing), (io.FileIO, socket.socket)):
            with suppress(OSError, ValueError):
                if thing.fileno() in descriptors:
                    thing.close()
    for descriptor in descriptors:
        with suppress(OSError):
            os.close(descriptor)
