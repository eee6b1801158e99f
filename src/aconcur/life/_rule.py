"""Which cells live next: born and survives, by the number of live neighbours.

Rule: this file knows neither grids nor engines; whoever drives it compiles what it says.
"""

from __future__ import annotations

__all__ = ("LIFE", "NAMED_RULES", "Rule", "as_rule")

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final, final

from aconcur.life._errors import RuleError

# Names as conwaylife.com's List of Life-like rules has them, in one spelling: small, no spaces.
NAMED_RULES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "life": "B3/S23",
        "highlife": "B36/S23",
        "daynight": "B3678/S34678",
        "seeds": "B2/S",
        "replicator": "B1357/S1357",
        "fredkin": "B1357/S02468",
        "lifewithoutdeath": "B3/S012345678",
        "maze": "B3/S12345",
        "2x2": "B36/S125",
        "34life": "B34/S34",
        "diamoeba": "B35678/S5678",
        "morley": "B368/S245",
        "anneal": "B4678/S35678",
        "drylife": "B37/S23",
        "liveflee": "B3/S1234",
        "gnarl": "B1/S1",
        "walledcities": "B45678/S2345",
        "antilife": "B0123478/S01234678",
    }
)
"""The notations of rules that have a name, by that name."""

_BORN_FIRST: Final = re.compile(r"b(?P<born>[0-9]*)[/_]?s(?P<survives>[0-9]*)", re.IGNORECASE)
_SURVIVES_FIRST: Final = re.compile(r"s(?P<survives>[0-9]*)[/_]?b(?P<born>[0-9]*)", re.IGNORECASE)
_BARE: Final = re.compile(r"(?P<survives>[0-9]*)/(?P<born>[0-9]*)")


@final
class Rule:
    """A rule of two states: a cell's next state by its own and its number of live neighbours.

    The notations of one rule are equal, and the first is what ``str`` gives::

        Rule("B3/S23") == Rule("b3s23") == Rule("S23/B3") == Rule("23/3") == Rule("life")

    Immutable, hashable and picklable. Without letters the survivors come first, as is the custom.

    Args:
        text: the notation, or one of :data:`NAMED_RULES` (capitals, spaces and hyphens are free).

    Raises:
        RuleError: the text is neither.
        TypeError: it is no text.
    """

    __slots__ = ("_born", "_survives")

    def __init__(self, text: str) -> None:
        self._born, self._survives = _parse(text)

    @classmethod
    def of(cls, born: Iterable[int], survives: Iterable[int]) -> Rule:
        """Make a rule of two sets of counts, 0 to 8.

        Raises:
            RuleError: a count is below 0 or above 8.
        """
        digits = ["".join(map(str, sorted(set(counts)))) for counts in (born, survives)]
        return cls(f"B{digits[0]}/S{digits[1]}")

    @property
    def born(self) -> frozenset[int]:
        """The counts of live neighbours with which a dead cell comes to life, each 0 to 8."""
        return self._born

    @property
    def survives(self) -> frozenset[int]:
        """The counts of live neighbours with which a live cell stays alive, each 0 to 8."""
        return self._survives

    def lives(self, alive: bool, neighbours: int) -> bool:
        """Return whether a cell with so many live neighbours lives in the next generation."""
        return neighbours in (self._survives if alive else self._born)

    def __str__(self) -> str:
        born, survives = ("".join(map(str, sorted(each))) for each in (self.born, self.survives))
        return f"B{born}/S{survives}"

    def __repr__(self) -> str:
        return f"Rule({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Rule):
            return NotImplemented
        return (self._born, self._survives) == (other._born, other._survives)

    def __hash__(self) -> int:
        return hash((Rule, self._born, self._survives))

    def __reduce__(self) -> tuple[type[Rule], tuple[str]]:
        return Rule, (str(self),)


def _parse(text: str) -> tuple[frozenset[int], frozenset[int]]:
    if not isinstance(text, str):
        raise TypeError(f"a rule is a text like 'B3/S23', not {text!r}")
    plain = text.strip()
    plain = NAMED_RULES.get(re.sub(r"[\s_-]+", "", plain).lower(), plain)
    for notation in (_BORN_FIRST, _SURVIVES_FIRST, _BARE):
        if found := notation.fullmatch(plain):
            return _counts(text, found["born"]), _counts(text, found["survives"])
    raise RuleError(text, _why_not(plain))


def _counts(text: str, digits: str) -> frozenset[int]:
    counts = frozenset(map(int, digits))
    if 9 in counts:
        raise RuleError(text, "asks for 9 live neighbours, and a cell has 8")
    if len(counts) < len(digits):
        twice = next(digit for digit in digits if digits.count(digit) > 1)
        raise RuleError(text, f"names {twice} twice on one side")
    return counts


def _why_not(text: str) -> str:
    if not text:
        return "is empty"
    if text.count("/") > 1:
        return "has more than two parts: only rules of two states are known"
    if ":" in text:
        return "has a bounded grid behind it, which is no part of a rule"
    if re.fullmatch(r"[bB].*[vVhH]", text):
        return "has another neighbourhood than the eight cells around"
    return "is neither a notation nor a known name"


def as_rule(rule: Rule | str) -> Rule:
    """Return the rule itself, or the one that a text names.

    Raises:
        RuleError: the text names none.
    """
    return rule if isinstance(rule, Rule) else Rule(rule)


LIFE: Final = Rule("B3/S23")
"""Conway's Game of Life."""
