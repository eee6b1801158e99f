"""Tests for what one run never shows.

:func:`cancel_everywhere` takes the view that a cancel may come at any step of a scenario, as a
timeout, a failing sibling or Ctrl-C will in the end: so it makes each of them happen once, and
compares what the process holds before and after. :class:`Snapshot` is that comparison alone, for
a fixture of one's own.
"""

__all__ = ("CancelSweep", "CancelSweepFailed", "Leak", "Place", "Snapshot", "cancel_everywhere")

from aconcur.testing._cancel import cancel_everywhere as cancel_everywhere
from aconcur.testing._cancel_report import CancelSweep as CancelSweep
from aconcur.testing._cancel_report import CancelSweepFailed as CancelSweepFailed
from aconcur.testing._cancel_report import Leak as Leak
from aconcur.testing._leaks import Snapshot as Snapshot
from aconcur.testing._places import Place as Place
