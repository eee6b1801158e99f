"""Tests for what one run never shows.

:func:`explore` takes the view that tasks may be woken in any order: it runs a scenario under every
order within a bound, on asyncio and trio, and names the shortest that fails; :func:`replay` runs
that one again. :func:`cancel_everywhere` takes the view that a cancel may come at any step, as a
timeout, a failing sibling or Ctrl-C will in the end: it makes each of them happen once, and
compares what the process holds before and after. :class:`Snapshot` is that comparison alone, for
a fixture of one's own.
"""

from __future__ import annotations

__all__ = (
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
    "Snapshot",
    "Step",
    "UncontrolledWaitError",
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
from aconcur.testing._explore.errors import CallIntoLoopError as CallIntoLoopError
from aconcur.testing._explore.errors import Deadlock as Deadlock
from aconcur.testing._explore.errors import Livelock as Livelock
from aconcur.testing._explore.errors import NotReproducibleError as NotReproducibleError
from aconcur.testing._explore.errors import RealInputOutputError as RealInputOutputError
from aconcur.testing._explore.errors import UncontrolledWaitError as UncontrolledWaitError
from aconcur.testing._explore.errors import Waiting as Waiting
from aconcur.testing._explore.report import Exploration as Exploration
from aconcur.testing._explore.report import FailedSchedule as FailedSchedule
from aconcur.testing._explore.trace import Step as Step
from aconcur.testing._explore_threads.api import explore_threads as explore_threads
from aconcur.testing._explore_threads.api import replay_threads as replay_threads
from aconcur.testing._leaks.snapshot import Snapshot as Snapshot
from aconcur.testing._locations import Place as Place
