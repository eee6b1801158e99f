"""Quote a source file by the names it defines, so that no marker stands in the code."""

from __future__ import annotations

__all__ = ("ExcerptError", "excerpt", "normalized_digest")

import ast
import hashlib
import re
import textwrap
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from aconcur.errors import AconcurError

CHECKERS = re.compile(r"\s*# (?:noqa|type: ignore)\b.*$")


class ExcerptError(AconcurError):
    """Raised when a source file does not define a name that is quoted from it."""


def excerpt(folder: Path, reference: str, *, bare: bool = False) -> tuple[str, ...]:
    """Return the sources of ``file.py::one + two``, dedented, decorators included.

    A name may be a path (``Class.method``), and may bring its own file (``other.py::three``) for
    itself and for the names that follow. Definitions come in the order given.

    Args:
        folder: the folder of the files.
        reference: the file and the names.
        bare: leave out docstrings and comments for checkers (``noqa``, ``type: ignore``).

    Raises:
        ExcerptError: the file does not exist or defines no such name.
    """
    quoted: list[str] = []
    file = ""
    for part in reference.split("+"):
        *own_file, name = part.strip().split("::")
        file = own_file[0] if own_file else file
        quoted.append(_definition(folder, file, name, bare=bare))
    return tuple(quoted)


def _definition(folder: Path, file: str, name: str, *, bare: bool) -> str:
    try:
        text = (folder / file).read_text(encoding="utf-8")
    except (FileNotFoundError, IsADirectoryError):
        raise ExcerptError(f"{folder.name} has no file {file!r}") from None
    node = _find(_parsed(text), name.split("."))
    if node is None:
        raise ExcerptError(f"{folder.name}/{file} defines no {name!r}")
    return _source(text, node, bare=bare)


@lru_cache(maxsize=8)
def _parsed(text: str) -> ast.Module:
    """Parse a file once for all quotations from it."""
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


def _source(text: str, node: ast.stmt, *, bare: bool) -> str:
    decorators = getattr(node, "decorator_list", ())
    first = min([node.lineno, *(decorator.lineno for decorator in decorators)])
    left_out = set(_docstring_lines(node)) if bare else set()
    lines = text.splitlines()
    kept = [
        CHECKERS.sub("", lines[number - 1]) if bare else lines[number - 1]
        for number in range(first, (node.end_lineno or first) + 1)
        if number not in left_out
    ]
    return textwrap.dedent("\n".join(kept))


def _docstring_lines(node: ast.AST) -> Iterator[int]:
    """Yield the numbers of the lines of all docstrings in a module or definition."""
    kinds = (ast.Module, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    for inner in ast.walk(node):
        if not isinstance(inner, kinds) or not (body := inner.body):
            continue
        # A body that is only a docstring stays: without it the definition would not parse.
        if ast.get_docstring(inner) is not None and len(body) > 1:
            last = body[0].end_lineno or body[0].lineno
            follows = min(
                [body[1].lineno, *(d.lineno for d in getattr(body[1], "decorator_list", ()))]
            )
            yield from range(body[0].lineno, last + 1)
            yield from range(last + 1, min(last + 2, follows))


def normalized_digest(file: Path) -> str:
    """Return the SHA-256 of a source file without docstrings, comment lines and blank lines."""
    text = file.read_text(encoding="utf-8")
    left_out = set(_docstring_lines(_parsed(text)))
    kept = [
        line.rstrip()
        for number, line in enumerate(text.splitlines(), 1)
        if line.strip() and not line.lstrip().startswith("#") and number not in left_out
    ]
    return hashlib.sha256("\n".join(kept).encode()).hexdigest()
