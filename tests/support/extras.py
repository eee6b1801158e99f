"""Skip a test that fails only because an optional module is not installed, with that as reason."""

from __future__ import annotations

__all__ = ("missing_in_report", "missing_module", "missing_parameter", "skip_without")

import re
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Final

import pytest

from aconcur.errors import MissingRequirementError
from tests.support.backends import BACKENDS

# Modules of the extras, and of peers that some tests try.
OPTIONAL: Final = {
    "PIL",
    "cloudpickle",
    "dask",
    "distributed",
    "httpx2",
    "loky",
    "numba",
    "numpy",
    "rich",
    "trio",
    "uvloop",
    "websockets",
}


def skip_without(*modules: str) -> pytest.MarkDecorator:
    """Return a mark that skips a test unless all these modules are installed."""
    missing = [module for module in modules if find_spec(module) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


def missing_module(error: BaseException) -> str | None:
    """Return the optional module whose absence caused an error, or None."""
    for one in _causes(error):
        module = None
        if isinstance(one, ModuleNotFoundError):
            module = (one.name or "").partition(".")[0]
        elif isinstance(one, MissingRequirementError):
            module = one.what.removeprefix("module ")
        if module in OPTIONAL and find_spec(module) is None:
            return module
    return None


def missing_in_report(text: str) -> str | None:
    """Return the optional module whose absence ended the import of a test file, or None."""
    found = re.search(r"ModuleNotFoundError: No module named '(\w+)", text)
    module = found[1] if found else None
    return module if module in OPTIONAL and find_spec(module) is None else None


def missing_parameter(value: object) -> str | None:
    """Return the optional module that a test's parameter names and that is absent, or None."""
    if not isinstance(value, str | tuple):  # comparing other objects may raise
        return None
    for module in OPTIONAL:
        if (value == module or value == BACKENDS.get(module)) and find_spec(module) is None:
            return module
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error, what it came from, and the errors of groups."""
    errors, seen = [error], set[int]()
    for one in errors:
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        errors += [other for other in (one.__cause__, one.__context__) if other is not None]
        if isinstance(one, BaseExceptionGroup):
            errors += one.exceptions
