"""The Game of Life, and every other rule of its kind.

==================  ===========================================================
:class:`Rule`       which cells live next: ``Rule("B3/S23")``
==================  ===========================================================
"""

__all__ = (
    "LIFE",
    "NAMED_RULES",
    "Rule",
    "RuleError",
)

from aconcur.life._errors import RuleError as RuleError
from aconcur.life._rule import LIFE as LIFE
from aconcur.life._rule import NAMED_RULES as NAMED_RULES
from aconcur.life._rule import Rule as Rule
