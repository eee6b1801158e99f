"""Cells as arrays of numpy, which is an extra: imported when somebody asks for one."""

from __future__ import annotations

__all__ = ("Cells", "bits_of", "cells_of", "import_numpy")

from typing import TYPE_CHECKING, Any, TypeAlias

from aconcur.errors import MissingRequirementError

if TYPE_CHECKING:
    import numpy as np

Cells: TypeAlias = "np.ndarray[tuple[int, int], np.dtype[np.uint8]]"


def import_numpy() -> Any:  # noqa: ANN401 - a module
    """Return numpy.

    Raises:
        MissingRequirementError: it is not installed.
    """
    try:
        import numpy
    except ImportError:
        raise MissingRequirementError("numpy", "install aconcur[life]") from None
    return numpy


def bits_of(array: object) -> tuple[int, int, int]:
    """Return height, width and the cells in one integer, row after row, of what is not zero.

    Raises:
        ValueError: the array has not two dimensions.
    """
    np = import_numpy()
    cells = np.asarray(array)
    if cells.ndim != 2:
        raise ValueError(f"the array must have 2 dimensions, not {cells.ndim}")
    packed = np.packbits((cells != 0).ravel(), bitorder="little")
    height, width = cells.shape
    return height, width, int.from_bytes(packed.tobytes(), "little")


def cells_of(bits: int, height: int, width: int) -> Cells:
    """Return an array of 0 and 1, height × width, of uint8."""
    np = import_numpy()
    size = height * width
    packed = np.frombuffer(bits.to_bytes((size + 7) // 8, "little"), np.uint8)
    cells: Cells = np.unpackbits(packed, bitorder="little", count=size).reshape(height, width)
    return cells
