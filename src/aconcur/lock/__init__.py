"""Values that can only be reached while their lock is held.

=====================  ==========================================================
:class:`Guarded`       a value that tasks of one event loop share
:class:`Counter`       a number that tasks increment
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
    "NotHeldError",
    "OtherLoopError",
    "ThreadGuarded",
)

from aconcur.lock._base import Cell as Cell
from aconcur.lock._base import GuardedStatistics as GuardedStatistics
from aconcur.lock._counter import Counter as Counter
from aconcur.lock._errors import AlreadyHeldError as AlreadyHeldError
from aconcur.lock._errors import BlockedLoopError as BlockedLoopError
from aconcur.lock._errors import CellClosedError as CellClosedError
from aconcur.lock._errors import NotHeldError as NotHeldError
from aconcur.lock._errors import OtherLoopError as OtherLoopError
from aconcur.lock._guarded import Guarded as Guarded
from aconcur.lock._thread_guarded import ThreadGuarded as ThreadGuarded
