"""Values that cannot be reached without their lock.

=====================  ==========================================================
:class:`Guarded`       a value that tasks of one event loop share
:class:`Counter`       a tally on top of it
:class:`ThreadGuarded` a value that threads share with tasks, on any event loops
=====================  ==========================================================
"""

__all__ = (
    "AlreadyHeldError",
    "BlockedLoopError",
    "Cell",
    "CellClosedError",
    "Counter",
    "Guarded",
    "GuardedStatistics",
    "OtherLoopError",
    "ThreadGuarded",
)

from aconcur.lock._base import Cell as Cell
from aconcur.lock._base import GuardedStatistics as GuardedStatistics
from aconcur.lock._counter import Counter as Counter
from aconcur.lock._errors import AlreadyHeldError as AlreadyHeldError
from aconcur.lock._errors import BlockedLoopError as BlockedLoopError
from aconcur.lock._errors import CellClosedError as CellClosedError
from aconcur.lock._errors import OtherLoopError as OtherLoopError
from aconcur.lock._guarded import Guarded as Guarded
from aconcur.lock._thread_guarded import ThreadGuarded as ThreadGuarded
