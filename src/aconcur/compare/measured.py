"""The identity of everything that a recorded figure depends on, as digests.

A change of words, docstrings, comments or blank lines keeps the digests. Any change that may alter
a figure changes one of them, and the page then asks for a new recording.
"""

from __future__ import annotations

__all__ = ("definitions_digest", "is_measured", "shared_sources")

import ast
import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

from aconcur.compare.model import Case, Growth, Table

# The command line of a version that runs alone, and the fault table: no timed run uses them.
UNMEASURED = frozenset({"alone", "needs", "under_fault"})
# Titles, sizes that are never recorded, and where a table is shown.
WORDS = frozenset({"what", "quick", "title", "unit", "on_page"})


def is_measured(file: str) -> bool:
    """Return whether timed runs use a lesson's source file: quotations and faults are not timed."""
    return not file.startswith(("notes_", "faults"))


def definitions_digest(definitions: Iterable[Case | Table | Growth]) -> str:
    """Return the SHA-256 of the cases and tables that lesson.toml defines."""
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
