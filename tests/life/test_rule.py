from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aconcur.life import LIFE, NAMED_RULES, Rule, RuleError
from tests.support.patterns import UNHURRIED

counts = st.frozensets(st.integers(0, 8))


@pytest.mark.parametrize(
    "text",
    ["B3/S23", "b3/s23", "B3S23", "b3s23", "B3/S32", "S23/B3", "s23b3", "23/3", " B3/S23 ", "Life"],
)
def test_usual_spellings_name_one_rule(text: str) -> None:
    rule = Rule(text)
    assert rule == LIFE
    assert hash(rule) == hash(LIFE)
    assert (rule.born, rule.survives) == (frozenset({3}), frozenset({2, 3}))
    assert str(rule) == "B3/S23"
    assert repr(rule) == "Rule('B3/S23')"


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("B2/S", "B2/S"),
        ("/2", "B2/S"),
        ("B234", "B234/S"),
        ("23/", "B/S23"),
        ("bs", "B/S"),
        ("B0123478/S01234678", None),
    ],
)
def test_either_side_may_be_empty_or_have_zero(text: str, canonical: str | None) -> None:
    assert str(Rule(text)) == (canonical or text)


@UNHURRIED
@given(counts, counts)
def test_a_written_rule_reads_back(born: frozenset[int], survives: frozenset[int]) -> None:
    rule = Rule.of(born, survives)
    assert (rule.born, rule.survives) == (born, survives)
    assert Rule(str(rule)) == rule
    assert pickle.loads(pickle.dumps(rule)) == rule
    for neighbours in range(9):
        assert rule.lives(False, neighbours) == (neighbours in born)
        assert rule.lives(True, neighbours) == (neighbours in survives)


def test_every_name_is_a_rule_and_capitals_and_gaps_are_free() -> None:
    for name, notation in NAMED_RULES.items():
        assert str(Rule(name)) == notation
    assert Rule("Day-Night") == Rule("day night") == Rule("B3678/S34678")


def test_rules_that_differ_are_not_equal() -> None:
    assert Rule("B3/S23") != Rule("B36/S23")
    assert Rule("B3/S23") != Rule("B23/S3")
    assert Rule("B3/S23") != "B3/S23"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("B3/S29", "asks for 9 live neighbours, and a cell has 8"),
        ("B33/S23", "names 3 twice on one side"),
        ("B3/S23:T30,20", "has a bounded grid behind it"),
        ("", "is empty"),
        ("conway", "is neither a notation nor a known name"),
        ("B3/S2x", "is neither"),
        ("B٣/S23", "is neither"),
    ],
)
def test_a_wrong_notation_is_refused_with_its_text_and_the_reason(text: str, why: str) -> None:
    with pytest.raises(RuleError) as refused:
        Rule(text)
    assert f"rule {text!r} {why}" in str(refused.value)
    assert str(refused.value).endswith("; write it like B3/S23")
    assert refused.value.text == text
    assert str(pickle.loads(pickle.dumps(refused.value))) == str(refused.value)


@pytest.mark.parametrize(
    ("text", "family"),
    [
        ("23/3/3", "Generations"),
        ("B2/S345/C4", "Generations"),
        ("b3s23g4", "Generations"),
        ("B2c/S", "an isotropic non-totalistic rule"),
        ("B3/S2-i34q", "an isotropic non-totalistic rule"),
        ("B3-k/S2-ek3", "an isotropic non-totalistic rule"),
        ("MAPARYXfhZofugWaH7oaIDogBZofuhogOiAaIDogIAAgAAWaH7oaIDogGg==", "a non-totalistic rule"),
        ("R5,C0,M1,S34..58,B34..45,NM", "Larger than Life"),
        ("5,34,45,33,57", "Larger than Life"),
        ("B2/S34H", "a rule with a hexagonal neighbourhood"),
        ("B3/S23V", "a rule with von Neumann's neighbourhood of four cells"),
        ("B4/S45L", "a rule with a triangular neighbourhood"),
        ("W110", "a one-dimensional rule"),
        ("B1/S1|B3/S4", "an alternating rule"),
        ("LifeHistory", "a rule of more than two states"),
        ("B3/S23Super", "a rule of more than two states"),
        ("WireWorld", "a rule of more than two states"),
        ("Brian's Brain", "a rule of more than two states"),
    ],
)
def test_a_rule_of_another_family_is_refused_by_the_family_s_name(text: str, family: str) -> None:
    with pytest.raises(RuleError) as refused:
        Rule(text)
    expected = f"rule {text!r} belongs to another family, which is not supported: {family}"
    assert str(refused.value).startswith(expected)


def test_an_argument_of_another_type_is_refused() -> None:
    with pytest.raises(TypeError, match="a rule must be a str like 'B3/S23', not 23"):
        Rule(23)  # type: ignore[arg-type]


def test_impossible_counts_are_refused() -> None:
    with pytest.raises(RuleError, match="9 live neighbours"):
        Rule.of([9], [])
    with pytest.raises(RuleError):
        Rule.of([-1], [])
