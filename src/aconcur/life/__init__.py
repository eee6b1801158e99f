"""The Game of Life: grids, engines, and generations to iterate over."""

from __future__ import annotations

__all__ = (
    "Engine",
    "Grid",
    "GridTooLargeError",
    "Topology",
)

from aconcur.life._engine import Engine as Engine
from aconcur.life._engine import Topology as Topology
from aconcur.life._grid import Grid as Grid
from aconcur.life._grid import GridTooLargeError as GridTooLargeError
