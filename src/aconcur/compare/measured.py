"""What a record's figures depend on, as digests: when one changes, the lesson is measured again.

Rule: words, comments and blank lines do not count; whatever may change a figure does.
"""

from __future__ import annotations

__all__ = ("definitions_digest", "shared_sources")

import ast
import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aconcur.compare.lesson import Case, Table

# The command line of a version that is run alone: nothing of it runs while one is measured.
UNMEASURED = frozenset({"alone", "needs"})
# A title, a size that is never recorded, and whether figures are drawn.
WORDS = frozenset({"what", "quick", "plot"})


def definitions_digest(definitions: Iterable[Case | Table]) -> str:
    """Return the SHA-256 of what lesson.toml says is to be measured."""
    said = [
        {key: value for key, value in asdict(one).items() if key not in WORDS}
        for one in definitions
    ]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()


def shared_sources(folder: Path, package: str, files: Iterable[str]) -> Iterator[Path]:
    """Yield the sources beside a lesson's folder that the lesson's files import.

    Args:
        folder: where the lesson's files are.
        package: the name under which it is imported.
        files: the names of the lesson's files.
    """
    parent = package.rpartition(".")[0]
    imported = {name for file in files for name in _imports(folder / file)}
    for path in sorted(folder.parent.glob("*.py")):
        if f"{parent}.{path.stem}".lstrip(".") in imported and path.stem not in UNMEASURED:
            yield path


def _imports(file: Path) -> Iterator[str]:
    """Yield the full name of every module that a source file may import."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
