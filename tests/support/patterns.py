"""Patterns for hypothesis to draw."""

from __future__ import annotations

__all__ = ("UNHURRIED", "cells", "patterns", "rules", "words")

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from aconcur.life import Bounds, Pattern, Rule

# A loaded machine is no reason to fail.
UNHURRIED = settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])

_counts = st.frozensets(st.integers(0, 8))

rules = st.builds(Rule.of, _counts, _counts)
_near = st.integers(-6, 12)
_far = st.one_of(_near, st.integers(-(2**61) + 2, 2**61 - 2))
cells = st.one_of(
    st.frozensets(st.tuples(_near, _near), max_size=60),
    st.frozensets(st.tuples(_far, _far), max_size=8),
)
words = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=9)
_sizes = st.integers(1, 99)
_bounds = st.builds(Bounds, st.sampled_from(("torus", "box")), _sizes, _sizes)
patterns = st.builds(
    Pattern,
    cells,
    rules,
    name=words | st.just(""),
    author=words | st.just(""),
    comments=st.lists(words, max_size=3),
    bounds=st.none() | _bounds,
)
