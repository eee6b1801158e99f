"""Tests for what one run never shows.

:func:`explore` runs an async scenario under many orders of its tasks' steps, on asyncio or trio,
and reports the first that fails; :func:`replay` runs that one again. :func:`explore_threads` does
the same for plain threads. :func:`cancel_everywhere` cancels a scenario at each of its steps, as a
timeout, a failing sibling or Ctrl-C will in the end, and compares what the process holds before and
after. :class:`Snapshot` is that comparison alone, for a fixture of your own.
"""

from __future__ import annotations

__all__ = (
    "BackgroundError",
    "CallIntoLoopError",
    "CancelSweep",
    "CancelSweepFailed",
    "Deadlock",
    "Exploration",
    "FailedSchedule",
    "Leak",
    "Livelock",
    "NotReproducibleError",
    "Place",
    "RealInputOutputError",
    "Report",
    "Snapshot",
    "Step",
    "UncontrolledError",
    "UncontrolledWaitError",
    "UnsupportedLoopCallError",
    "Waiting",
    "cancel_everywhere",
    "explore",
    "explore_threads",
    "replay",
    "replay_threads",
)

from aconcur.testing._cancel.api import cancel_everywhere as cancel_everywhere
from aconcur.testing._cancel.report import CancelSweep as CancelSweep
from aconcur.testing._cancel.report import CancelSweepFailed as CancelSweepFailed
from aconcur.testing._cancel.report import Leak as Leak
from aconcur.testing._explore.api import explore as explore
from aconcur.testing._explore.api import replay as replay
from aconcur.testing._explore.errors import BackgroundError as BackgroundError
from aconcur.testing._explore.errors import CallIntoLoopError as CallIntoLoopError
from aconcur.testing._explore.errors import Deadlock as Deadlock
from aconcur.testing._explore.errors import Livelock as Livelock
from aconcur.testing._explore.errors import NotReproducibleError as NotReproducibleError
from aconcur.testing._explore.errors import RealInputOutputError as RealInputOutputError
from aconcur.testing._explore.errors import Report as Report
from aconcur.testing._explore.errors import UncontrolledError as UncontrolledError
from aconcur.testing._explore.errors import UncontrolledWaitError as UncontrolledWaitError
from aconcur.testing._explore.errors import UnsupportedLoopCallError as UnsupportedLoopCallError
from aconcur.testing._explore.errors import Waiting as Waiting
from aconcur.testing._explore.report import Exploration as Exploration
from aconcur.testing._explore.report import FailedSchedule as FailedSchedule
from aconcur.testing._explore.trace import Step as Step
from aconcur.testing._explore_threads.api import explore_threads as explore_threads
from aconcur.testing._explore_threads.api import replay_threads as replay_threads
from aconcur.testing._leaks.snapshot import Snapshot as Snapshot
from aconcur.testing._locations import Place as Place
