"""What a lesson needs on the machine, per its lesson.toml.

``[needs]`` holds ``commands = ["openssl", "md5sum|md5"]``
(one of several: ``a|b``) and ``modules = ["PIL"]``.
"""

from __future__ import annotations

__all__ = (
    "Needs",
    "check_needs",
    "needs_beside",
    "read_needs",
)

import shutil
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from aconcur.errors import MissingRequirementError

ON_PATH = "install {} and put it on PATH"
REMEDIES = {
    "openssl": ON_PATH.format("OpenSSL's openssl command"),
    "md5sum": ON_PATH.format("GNU coreutils"),
    "PIL": "pip install 'aconcur[images]'",
    "httpx2": "pip install 'aconcur[images]'",
}


@dataclass(frozen=True, slots=True)
class Needs:
    """The requirements of a lesson."""

    commands: tuple[str, ...] = ()
    """Programs on PATH; ``a|b`` asks for one of several."""
    modules: tuple[str, ...] = ()
    """Modules, by the name that ``import`` takes."""


def read_needs(toml: Mapping[str, Any]) -> Needs:
    """Return the needs that a parsed lesson.toml states."""
    said = toml.get("needs", {})
    return Needs(
        tuple(said.get("commands", ())),
        tuple(said.get("modules", ())),
    )


def needs_beside(file: str) -> Needs:
    """Return what the lesson.toml beside a file needs."""
    path = Path(file).with_name("lesson.toml")
    return read_needs(
        tomllib.loads(path.read_text(encoding="utf-8"))
    )


def check_needs(needs: Needs) -> None:
    """Return if all is there.

    Raises:
        MissingRequirementError: names the first thing that
            is missing, and how to get it.
    """
    for choice in needs.commands:
        names = choice.split("|")
        if not any(map(shutil.which, names)):
            raise MissingRequirementError(
                f"program {' or '.join(names)}",
                _remedy(names[0], ON_PATH),
            )
    for module in needs.modules:
        if find_spec(module) is None:
            raise MissingRequirementError(
                f"module {module}",
                _remedy(module, "pip install {}"),
            )


def _remedy(name: str, otherwise: str) -> str:
    return REMEDIES.get(name, otherwise.format(name))
