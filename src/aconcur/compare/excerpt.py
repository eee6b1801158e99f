"""Quote a source file by the names it defines, so that no marker stands in the code."""

from __future__ import annotations

__all__ = ("ExcerptError", "excerpt", "normalized_digest")

import ast
import hashlib
import textwrap
from functools import lru_cache
from pathlib import Path

from aconcur.errors import AconcurError


class ExcerptError(AconcurError):
    """Raised when a source file does not define what is quoted from it."""


def excerpt(folder: Path, reference: str) -> tuple[str, ...]:
    """Return the sources of ``file.py::one + two``, dedented, decorators included.

    A name may be a path (``Class.method``), and may bring its own file (``other.py::three``) for
    itself and those that follow. Definitions come in the order given.

    Raises:
        ExcerptError: the file is not there or defines no such name.
    """
    quoted: list[str] = []
    file = ""
    for part in reference.split("+"):
        *own_file, name = part.strip().split("::")
        file = own_file[0] if own_file else file
        quoted.append(_definition(folder, file, name))
    return tuple(quoted)


def _definition(folder: Path, file: str, name: str) -> str:
    try:
        text = (folder / file).read_text(encoding="utf-8")
    except (FileNotFoundError, IsADirectoryError):
        raise ExcerptError(f"{folder.name} has no file {file!r}") from None
    node = _find(_parsed(text), name.split("."))
    if node is None:
        raise ExcerptError(f"{folder.name}/{file} defines no {name!r}")
    return _source(text, node)


@lru_cache(maxsize=8)
def _parsed(text: str) -> ast.Module:
    """Parse a file once for all that a lesson quotes from it."""
    return ast.parse(text)


def _find(tree: ast.AST, path: list[str]) -> ast.stmt | None:
    for node in getattr(tree, "body", ()):
        if path[0] in _names(node):
            return node if len(path) == 1 else _find(node, path[1:])
    return None


def _names(node: ast.stmt) -> set[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {node.name}
    targets = node.targets if isinstance(node, ast.Assign) else []
    if isinstance(node, ast.AnnAssign):
        targets = [node.target]
    return {target.id for target in targets if isinstance(target, ast.Name)}


def _source(text: str, node: ast.stmt) -> str:
    decorators = getattr(node, "decorator_list", ())
    first = min([node.lineno, *(decorator.lineno for decorator in decorators)])
    lines = text.splitlines()[first - 1 : node.end_lineno]
    return textwrap.dedent("\n".join(lines))


def normalized_digest(file: Path) -> str:
    """Return the SHA-256 of a source file without its blank lines and pure comment lines."""
    lines = (line.rstrip() for line in file.read_text(encoding="utf-8").splitlines())
    kept = [line for line in lines if line.strip() and not line.lstrip().startswith("#")]
    return hashlib.sha256("\n".join(kept).encode()).hexdigest()
