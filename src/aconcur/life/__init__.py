"""The Game of Life, and every other rule of its kind.

==================  ===========================================================
:class:`Rule`       which cells live next: ``Rule("B3/S23")``
:class:`Grid`       a generation as a value
==================  ===========================================================
"""

__all__ = (
    "LIFE",
    "NAMED_RULES",
    "Engine",
    "Grid",
    "GridTooLargeError",
    "Rule",
    "RuleError",
    "Topology",
)

from aconcur.life._engine import Engine as Engine
from aconcur.life._engine import Topology as Topology
from aconcur.life._errors import RuleError as RuleError
from aconcur.life._grid import Grid as Grid
from aconcur.life._grid import GridTooLargeError as GridTooLargeError
from aconcur.life._rule import LIFE as LIFE
from aconcur.life._rule import NAMED_RULES as NAMED_RULES
from aconcur.life._rule import Rule as Rule
