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
    "Failure",
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

from aconcur.testing._cancel import cancel_everywhere as cancel_everywhere
from aconcur.testing._cancel_report import CancelSweep as CancelSweep
from aconcur.testing._cancel_report import CancelSweepFailed as CancelSweepFailed
from aconcur.testing._cancel_report import Leak as Leak
from aconcur.testing._errors import CallIntoLoopError as CallIntoLoopError
from aconcur.testing._errors import Deadlock as Deadlock
from aconcur.testing._errors import Livelock as Livelock
from aconcur.testing._errors import NotReproducibleError as NotReproducibleError
from aconcur.testing._errors import RealInputOutputError as RealInputOutputError
from aconcur.testing._errors import UncontrolledWaitError as UncontrolledWaitError
from aconcur.testing._errors import Waiting as Waiting
from aconcur.testing._exploration import Exploration as Exploration
from aconcur.testing._exploration import Failure as Failure
from aconcur.testing._explore import explore as explore
from aconcur.testing._explore import replay as replay
from aconcur.testing._leaks import Snapshot as Snapshot
from aconcur.testing._places import Place as Place
from aconcur.testing._threads import explore_threads as explore_threads
from aconcur.testing._threads import replay_threads as replay_threads
from aconcur.testing._timeline import Step as Step
