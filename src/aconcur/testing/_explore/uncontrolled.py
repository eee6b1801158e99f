"""Remembers that a scenario has asked for something that no schedule decides.

The error is raised where the scenario asks, and it is also the result of the run: whatever the
scenario makes of the exception (a retry, a fallback, a log line) says nothing about its
correctness. So each place that refuses something raises ``refused(error)``, and the drivers ask
:func:`take_refusal` at the end of a run.
"""

from __future__ import annotations

__all__ = ("refused", "take_refusal")

import threading

from aconcur.testing._explore.errors import UncontrolledError


class _First(threading.local):
    error: UncontrolledError | None = None


_first = _First()


def refused(error: UncontrolledError) -> UncontrolledError:
    """Remember the first error of the run in this thread; return the one that was given."""
    _first.error = _first.error or error
    return error


def take_refusal() -> UncontrolledError | None:
    """Return what the run in this thread was refused, and forget it."""
    error, _first.error = _first.error, None
    return error
