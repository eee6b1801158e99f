"""Shared by all kernels for numba: a decorator that type checkers understand, and pointers.

Importing this module imports numba.
"""

from __future__ import annotations

__all__ = ("Pointer", "Word", "halves_at", "kernel", "rows_at", "signed_at", "words_at")

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

F = TypeVar("F", bound=Callable[..., Any])

Pointer: TypeAlias = Any
"""A pointer, indexed like an array. numba's types are unknown to type checkers."""
Word: TypeAlias = Any
"""A machine word, or a Python int that becomes one."""

if TYPE_CHECKING:

    def kernel(*, inline: str = "never") -> Callable[[F], F]:
        """Compile a function at its first call, without the GIL, and cache it on disk."""

    def words_at(address: Word) -> Pointer:
        """Return unsigned 64-bit integers."""

    def signed_at(address: Word) -> Pointer:
        """Return signed 64-bit integers."""

    def halves_at(address: Word) -> Pointer:
        """Return signed 32-bit integers."""

    def rows_at(address: Word) -> Pointer:
        """Return unsigned 16-bit integers."""

else:
    from numba import njit, types
    from numba.extending import intrinsic

    def kernel(*, inline: str = "never") -> Any:  # noqa: ANN401
        def compiled(function: Any) -> Any:  # noqa: ANN401
            options = {"nogil": True, "boundscheck": False, "inline": inline}
            try:
                return njit(cache=True, **options)(function)
            except RuntimeError:
                # numba found no folder that it can write its cache to.
                return njit(**options)(function)

        return compiled

    def _pointer_to(kind: Any) -> Any:  # noqa: ANN401
        # Passing arrays between small functions costs more than the functions, because numba
        # counts references to arrays.
        @intrinsic
        def at(_: Any, address: Any) -> Any:  # noqa: ANN401
            def build(context: Any, builder: Any, signature: Any, values: Any) -> Any:  # noqa: ANN401
                return builder.inttoptr(values[0], context.get_value_type(signature.return_type))

            return types.CPointer(kind)(address), build

        return at

    words_at = _pointer_to(types.uint64)
    signed_at = _pointer_to(types.int64)
    halves_at = _pointer_to(types.int32)
    rows_at = _pointer_to(types.uint16)
