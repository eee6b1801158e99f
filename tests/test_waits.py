"""A test that polls has a bound: otherwise a fault shows as a hang, which says nothing."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

from tests.support.imports import ROOT
from tests.support.known import check, part_of

PAUSES: Final = {"sleep", "checkpoint", "wait_all_tasks_blocked", "yield_to_others"}
BOUNDS: Final = {"fail_after", "move_on_after", "timeout", "fail_at", "wait_for"}


def unbounded_polls(tree: ast.AST) -> Iterator[int]:
    """Yield the lines of loops that only pause until a state is reached, without a bound."""
    nodes = [(tree, False)]
    for node, bounded in nodes:
        if isinstance(node, ast.While) and not bounded and all(map(is_pause, node.body)):
            yield node.lineno
        if isinstance(node, ast.With | ast.AsyncWith):
            bounded = bounded or any(called(item.context_expr) in BOUNDS for item in node.items)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            bounded = False
        nodes += [(child, bounded) for child in ast.iter_child_nodes(node)]


def is_pause(statement: ast.stmt) -> bool:
    if not isinstance(statement, ast.Expr):
        return isinstance(statement, ast.Pass)
    value = statement.value
    return called(value.value if isinstance(value, ast.Await) else value) in PAUSES


def called(node: ast.expr) -> str:
    """Return the last part of the name of a called function."""
    if not isinstance(node, ast.Call):
        return ""
    function = node.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def test_polls_have_a_bound() -> None:
    offences: list[tuple[str, str]] = []
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        file = path.relative_to(ROOT)
        lines = unbounded_polls(ast.parse(path.read_text(encoding="utf-8")))
        offences += [(part_of(file), f"{file}:{line}") for line in lines]
    check("polls without a bound", offences)


def test_bound_is_seen_around_a_poll_and_not_across_functions() -> None:
    code = """\
while not a: time.sleep(1)
with anyio.fail_after(1):
    while not b: await anyio.sleep(0)
    async def inner():
        while not c: await checkpoint()
while not d:
    work()
"""
    assert list(unbounded_polls(ast.parse(code))) == [1, 5]
