"""Convert cells to and from numpy arrays. numpy is an extra and is imported on first use."""

from __future__ import annotations

__all__ = ("Cells", "bits_of", "cells_of", "import_numpy", "numpy_is_imported")

import sys
from typing import TYPE_CHECKING, Any, TypeAlias

from aconcur.errors import MissingRequirementError

if TYPE_CHECKING:
    import numpy as np

Cells: TypeAlias = "np.ndarray[tuple[int, int], np.dtype[np.uint8]]"


def numpy_is_imported() -> bool:
    """Return whether the program uses numpy already, so that using it here costs no import."""
    return sys.modules.get("numpy") is not None


def import_numpy() -> Any:  # noqa: ANN401 - a module
    """Import numpy and return it.

    Raises:
        MissingRequirementError: numpy is not installed.
    """
    try:
        import numpy
    except ImportError:
        raise MissingRequirementError("numpy", "install aconcur[life]") from None
    return numpy


def bits_of(array: object) -> tuple[int, int, int]:
    """Return height, width and bits of an array, in which every value but zero is a live cell.

    Raises:
        ValueError: the array does not have two dimensions.
    """
    np = import_numpy()
    cells = np.asarray(array)
    if cells.ndim != 2:
        raise ValueError(f"the array must have 2 dimensions, not {cells.ndim}")
    packed = np.packbits((cells != 0).ravel(), bitorder="little")
    height, width = cells.shape
    return height, width, int.from_bytes(packed.tobytes(), "little")


def cells_of(bits: int, height: int, width: int) -> Cells:
    """Return bits as a uint8 array of 0 and 1, height × width."""
    np = import_numpy()
    size = height * width
    packed = np.frombuffer(bits.to_bytes((size + 7) // 8, "little"), np.uint8)
    cells: Cells = np.unpackbits(packed, bitorder="little", count=size).reshape(height, width)
    return cells
