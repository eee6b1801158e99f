"""A rule: whether a cell lives next, by its state and its number of live neighbours.

Nothing here knows grids or engines: each engine compiles a rule into the form that it needs.
"""

from __future__ import annotations

__all__ = ("LIFE", "NAMED_RULES", "Rule", "as_rule")

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final, final

from aconcur.life._errors import RuleError

# Names from conwaylife.com's "List of Life-like rules", in lower case and without spaces.
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
"""Named rules: the name, in lower case and without spaces, and the notation."""

_BORN_FIRST: Final = re.compile(r"b(?P<born>[0-9]*)[/_]?s(?P<survives>[0-9]*)", re.IGNORECASE)
_BORN_ONLY: Final = re.compile(r"b(?P<born>[0-9]+)(?P<survives>)", re.IGNORECASE)
_SURVIVES_FIRST: Final = re.compile(r"s(?P<survives>[0-9]*)[/_]?b(?P<born>[0-9]*)", re.IGNORECASE)
_BARE: Final = re.compile(r"(?P<survives>[0-9]*)/(?P<born>[0-9]*)")


@final
class Rule:
    """A rule of two states for cells with eight neighbours, such as Conway's ``B3/S23``.

    A dead cell is born with one of the B counts of live neighbours; a live cell survives with one
    of the S counts. Every notation of a rule makes an equal value; ``str`` returns the first one::

        Rule("B3/S23") == Rule("b3s23") == Rule("S23/B3") == Rule("23/3") == Rule("life")

    Immutable, hashable and picklable. In the notation without letters the survivors come first.

    Args:
        text: a notation, or one of :data:`NAMED_RULES` in any case, with or without spaces and
            hyphens.

    Raises:
        RuleError: the text is neither; the message says what kind of rule it looks like.
        TypeError: the argument is not a str.
    """

    __slots__ = ("_born", "_survives")

    def __init__(self, text: str) -> None:
        self._born, self._survives = _parse(text)

    @classmethod
    def of(cls, born: Iterable[int], survives: Iterable[int]) -> Rule:
        """Return the rule with these counts of live neighbours.

        Args:
            born: the counts with which a dead cell comes to life, each 0 to 8.
            survives: the counts with which a live cell stays alive, each 0 to 8.

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
        """Return whether a cell with this state and number of live neighbours lives next."""
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
        raise TypeError(f"a rule must be a str like 'B3/S23', not {text!r}")
    plain = text.strip()
    plain = NAMED_RULES.get(re.sub(r"[\s_-]+", "", plain).lower(), plain)
    for notation in (_BORN_FIRST, _BORN_ONLY, _SURVIVES_FIRST, _BARE):
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


_COUNT: Final = r"(?:[0-8]-?[cekainyqjrtwz]*)"
# Families of rules that other programs know, by what their notation looks like; the first that
# matches counts. The letters in _COUNT are Hensel's for arrangements of neighbours.
_FAMILIES: Final = (
    (r"map[0-9a-z+/=]*", "a non-totalistic rule given as a table (MAP)"),
    (r"w\d+", "a one-dimensional rule of Wolfram's"),
    (r"r\d+[,b].*|\d+(,\d+){4,}", "Larger than Life, with neighbours at a distance"),
    (r".*\|.*", "an alternating rule, several in turn"),
    (r".*(history|super|investigator)", "a rule of more than two states, with marked cells"),
    (r".*/.*/.*|[bs]\d*/?[bs]\d*/?[cg]\d+|g\d+/?.*", "Generations, with more than two states"),
    (r"[bs]?[0-8]*/?[bs]?[0-8]*h", "a rule with a hexagonal neighbourhood"),
    (r"[bs]?[0-8]*/?[bs]?[0-8]*v", "a rule with von Neumann's neighbourhood of four cells"),
    (r"[bs]?[0-9x-z]*/?[bs]?[0-9x-z]*l[a-z]?", "a rule with a triangular neighbourhood"),
    (
        rf"(?=.*[cekainyqjrtwz])[bs]?{_COUNT}*[/_]?[bs]?{_COUNT}*",
        "an isotropic non-totalistic rule, in which the arrangement of neighbours counts",
    ),
    (
        r"wireworld|briansbrain|starwars|codd2?|jvn29|nobili32|hutton32|langtonsloops",
        "a rule of more than two states",
    ),
)


def _why_not(text: str) -> str:
    if not text:
        return "is empty"
    if ":" in text:
        return "has a bounded grid behind it, which is not part of a rule"
    plain = re.sub(r"[\s'-]+(?![cekainyqjrtwz])", "", text)
    for pattern, family in _FAMILIES:
        if re.fullmatch(pattern, plain, re.IGNORECASE | re.ASCII):
            return f"belongs to another family, which is not supported: {family}"
    return "is neither a notation nor a known name"


def as_rule(rule: Rule | str) -> Rule:
    """Return a rule as it is, or parse a notation.

    Raises:
        RuleError: the text is not a notation.
    """
    return rule if isinstance(rule, Rule) else Rule(rule)


LIFE: Final = Rule("B3/S23")
"""Conway's Game of Life."""
