"""Jobs for worker processes: light to import, and steered by files, never by time.

Rule: a job that a failed test has forgotten kills its worker in the end, so that pytest ends.
"""

from __future__ import annotations

__all__ = ("die", "die_once", "relay", "relay_or_fail", "stuck", "wait_for")

import os
import signal
import time
from pathlib import Path
from typing import NoReturn

FORGOTTEN = 25
"""Seconds: longer than any test waits."""


def wait_for(path: str) -> None:
    """Return when the file is there."""
    signal.alarm(FORGOTTEN)
    while not Path(path).exists():
        time.sleep(0.005)
    signal.alarm(0)


def relay(job: tuple[str, str]) -> str:
    """Announce one file, return it when the other file is there."""
    announced, awaited = job
    Path(announced).touch()
    wait_for(awaited)
    return announced


def relay_or_fail(job: tuple[str, str]) -> str:
    """Do as relay, but raise if that was to wait for another."""
    announced = relay(job)
    if job != (announced, announced):
        raise ValueError(announced)
    return announced


def stuck(path: str) -> NoReturn:
    """Announce the file, then run for ever."""
    signal.alarm(FORGOTTEN)
    Path(path).touch()
    while True:
        signal.pause()


def die(item: object) -> NoReturn:
    """Kill the worker as the kernel's out-of-memory killer does."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError(item)


def die_once(path: str) -> str:
    """Kill the worker when it comes here first; return the path the second time."""
    if Path(path).exists():
        return path
    Path(path).touch()
    die(path)
