"""Who imports whom, read from the sources with :mod:`ast`: nothing is imported to find out."""

from __future__ import annotations

__all__ = ("Import", "find_circles", "imports_of", "module_name", "read_imports")

import ast
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]


class Import(NamedTuple):
    """One import statement's way from a file to a module."""

    file: Path
    """The importing file, relative to the checkout."""
    line: int
    target: str
    """The dotted name that is imported: a module, or a name in one."""
    deferred: bool
    """Whether it runs only when a function is called, or never, for a type checker."""

    def __str__(self) -> str:
        return f"{self.file}:{self.line} imports {self.target}"


def module_name(file: Path) -> str:
    """Return the dotted name of a source file below ``src``, or below the checkout."""
    path = file.relative_to("src") if file.parts[0] == "src" else file
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def read_imports(*folders: str) -> list[Import]:
    """Return every import in the Python files below the given folders of the checkout."""
    return [
        found
        for folder in folders
        for path in sorted((ROOT / folder).rglob("*.py"))
        if path.name != "original_py2.py"
        for found in imports_of(path, ROOT)
    ]


def imports_of(path: Path, root: Path) -> Iterator[Import]:
    """Yield every import in one file of the checkout ``root``."""
    file = path.relative_to(root)
    tree = ast.parse(path.read_text(encoding="utf-8"), str(file))
    for node, deferred in _statements(tree):
        for target in _targets(node, file):
            yield Import(file, node.lineno, target, deferred)


def _statements(tree: ast.AST) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    """Yield the import statements below a node, and whether a function defers each."""
    nodes: list[tuple[ast.AST, bool]] = [(tree, False)]
    for node, deferred in nodes:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node, deferred
        for_types = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        inside = deferred or function or for_types
        nodes += [(child, inside) for child in ast.iter_child_nodes(node)]


def _targets(node: ast.Import | ast.ImportFrom, file: Path) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    base = node.module or ""
    if node.level:
        folder = module_name(file).split(".")
        above = node.level - (file.name == "__init__.py")
        base = ".".join([*folder[: len(folder) - above], *filter(None, [base])])
    return [f"{base}.{alias.name}" for alias in node.names]


def find_circles(edges: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """Return the groups of modules that import each other, each as one shortest circle.

    Tarjan's algorithm finds the groups (strongly connected components); a breadth-first search
    then finds a shortest way from a member of the group back to itself.
    """
    return [_shortest_circle(group, edges) for group in _components(edges) if len(group) > 1]


def _components(edges: Mapping[str, Iterable[str]]) -> Iterator[set[str]]:
    number: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []

    def visit(node: str) -> Iterator[set[str]]:
        number[node] = lowest[node] = len(number)
        stack.append(node)
        for other in edges.get(node, ()):
            if other not in number:
                yield from visit(other)
                lowest[node] = min(lowest[node], lowest[other])
            elif other in stack:
                lowest[node] = min(lowest[node], number[other])
        if lowest[node] == number[node]:
            at = stack.index(node)
            yield set(stack[at:])
            del stack[at:]

    for node in edges:
        if node not in number:
            yield from visit(node)


def _shortest_circle(group: set[str], edges: Mapping[str, Iterable[str]]) -> list[str]:
    start = min(group)
    paths = [[start]]
    seen: set[str] = set()
    for path in paths:
        for other in edges[path[-1]]:
            if other == start:
                return [*path, start]
            if other in group and other not in seen:
                seen.add(other)
                paths.append([*path, other])
    raise AssertionError(f"{start} is in a group of modules that import each other")
