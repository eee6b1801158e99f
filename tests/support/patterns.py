"""Patterns for hypothesis to draw."""

from __future__ import annotations

__all__ = ("UNHURRIED", "bounds", "cells", "patterns", "rules", "words")

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from aconcur.life import Bounds, Pattern, Rule

# A loaded machine must not fail a test.
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
_no_shift = st.just(0)
bounds = st.one_of(
    st.builds(Bounds, st.just("box"), _sizes, _sizes, st.just(""), _no_shift, _no_shift),
    st.builds(Bounds, st.just("cross"), _sizes, _sizes, st.just(""), _no_shift, _no_shift),
    _sizes.map(lambda size: Bounds("sphere", size, size)),
    st.builds(
        lambda h, w, x, y: Bounds("torus", h, w, "", x % w, 0 if x % w else -(y % h)),
        *(_sizes, _sizes, _sizes | _no_shift, _sizes | _no_shift),
    ),
    st.builds(
        lambda h, w, x: Bounds("klein", h, w, "x", x and 1 - w % 2),
        *(_sizes, _sizes, st.integers(0, 1)),
    ),
    st.builds(
        lambda h, w, y: Bounds("klein", h, w, "y", 0, y and 1 - h % 2),
        *(_sizes, _sizes, st.integers(0, 1)),
    ),
)
_said = {
    "name": words | st.just(""),
    "author": words | st.just(""),
    "comments": st.lists(words, max_size=3),
}
patterns = st.one_of(
    st.builds(Pattern, cells, rules, **_said, bounds=st.none()),
    # Where the cells lie in the field, or outside of it, makes no difference to a file.
    st.builds(
        Pattern, st.frozensets(st.tuples(_near, _near), max_size=60), rules, **_said, bounds=bounds
    ),
)
