"""Find the order of wake-ups that breaks async code, and the cancellation that leaves something.

:func:`explore` runs a scenario under every schedule within a bound, on asyncio and trio, and names
the shortest that fails; :func:`replay` runs that one again.
"""

from __future__ import annotations

__all__ = (
    "Deadlock",
    "Exploration",
    "Failure",
    "Livelock",
    "NotReproducibleError",
    "RealInputOutputError",
    "Step",
    "Waiting",
    "explore",
    "replay",
)

from aconcur.testing._errors import Deadlock as Deadlock
from aconcur.testing._errors import Livelock as Livelock
from aconcur.testing._errors import NotReproducibleError as NotReproducibleError
from aconcur.testing._errors import RealInputOutputError as RealInputOutputError
from aconcur.testing._errors import Waiting as Waiting
from aconcur.testing._exploration import Exploration as Exploration
from aconcur.testing._exploration import Failure as Failure
from aconcur.testing._explore import explore as explore
from aconcur.testing._explore import replay as replay
from aconcur.testing._timeline import Step as Step
