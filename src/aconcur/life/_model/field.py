"""Bounded fields: their shape, their size, and how their edges are joined.

The names and the geometry are Golly's (https://golly.sourceforge.io/Help/bounded.html).
"""

from __future__ import annotations

__all__ = ("Bounds", "Topology", "Twist")

from typing import Literal, NamedTuple, TypeAlias

from aconcur._core.validation import check_count

Topology: TypeAlias = Literal["torus", "box", "plane", "klein", "cross", "sphere"]
"""The shape of a universe.

``"torus"``: opposite edges meet. ``"box"``: dead cells surround the field. ``"plane"``: no edge.
``"klein"``, ``"cross"``: one pair of opposite edges meets reversed, or both. ``"sphere"``: the top
edge meets the left one, and the bottom edge the right one.
"""

Twist: TypeAlias = Literal["", "x", "y"]
"""Which edges of a Klein bottle meet reversed."""


class Bounds(NamedTuple):
    """A bounded field: the universe of a pattern that is not meant for the plane.

    A cell of the pattern at (y, x) is in row y, column x of the field, counted from 0 at the top
    left.
    """

    topology: Topology
    height: int
    """The number of rows, at least 1."""
    width: int
    """The number of columns, at least 1."""
    twist: Twist = ""
    """``"x"`` if the top and bottom edges of a Klein bottle meet reversed; otherwise the left and
    right edges do."""
    shift_x: int = 0
    """By how many columns the top and bottom edges are shifted against each other: any number on a
    torus, 0 or 1 on a Klein bottle with twist ``"x"``."""
    shift_y: int = 0
    """By how many rows the left and right edges are shifted against each other, likewise."""

    @property
    def is_plain(self) -> bool:
        """Whether this is a box, or a torus without a shift."""
        return self.topology == "box" or (
            self.topology == "torus" and not self.shift_x and not self.shift_y
        )

    @property
    def middle(self) -> tuple[int, int]:
        """The row and column of the cell that Golly calls (0, 0)."""
        return self.height // 2, self.width // 2

    def check(self) -> None:
        """Refuse a field that does not exist.

        Raises:
            TypeError: a number is not a whole number.
            ValueError: a size is below 1, or the shape does not allow the sizes, twist or shifts.
        """
        check_count("a field's height", self.height, 1)
        check_count("a field's width", self.width, 1)
        if why := self._why_not():
            raise ValueError(f"{self!r}: {why}")

    def _why_not(self) -> str:
        if self.topology == "plane":
            return "the plane has no bounds: use None"
        if self.topology == "sphere" and self.height != self.width:
            return "a sphere must be as high as it is wide"
        if self.twist and self.topology != "klein":
            return "only a Klein bottle has a twist"
        if self.shift_x and self.shift_y:
            return "only one pair of edges can be shifted"
        if self.topology == "klein":
            if self.shift_y if self.twist == "x" else self.shift_x:
                return "a shift of a Klein bottle must be on the twisted edges"
            if not {self.shift_x, self.shift_y} <= {0, 1}:
                return "the shift of a Klein bottle is 0 or 1"
        elif (self.shift_x or self.shift_y) and self.topology != "torus":
            return "only a torus or a Klein bottle can have a shift"
        return ""
