"""Every promise in docs/guarantees.md names a test that exists, and every public name is listed."""

from __future__ import annotations

import ast
import re
from functools import cache
from importlib import import_module
from typing import Final, NamedTuple

import pytest

from tests.support.imports import ROOT
from tests.support.known import check

PAGE: Final = ROOT / "docs" / "guarantees.md"
PACKAGES: Final = (
    "aconcur",
    "aconcur.errors",
    "aconcur.life",
    "aconcur.lock",
    "aconcur.parallel",
    "aconcur.pipeline",
    "aconcur.process",
    "aconcur.testing",
)
ROW: Final = re.compile(r"\| (?P<names>`[^|]+`) \| (?P<promise>[^|]+) \| (?P<tests>[^|]+) \|")
REASONED: Final = re.compile(r"^- (?P<names>`.+?`): .+", re.MULTILINE)


class Promise(NamedTuple):
    """One row: public names, what they promise, and the tests that hold it."""

    names: tuple[str, ...]
    tests: tuple[str, ...]


def section(package: str) -> str:
    """Return the part of the page that is about one package."""
    _, _, rest = PAGE.read_text(encoding="utf-8").partition(f"\n## {package}\n")
    return rest.partition("\n## ")[0]


def code(text: str) -> tuple[str, ...]:
    """Return what stands between back-quotes."""
    return tuple(re.findall(r"`([^`]+)`", text))


def promises(package: str) -> list[Promise]:
    return [
        Promise(code(row["names"]), code(row["tests"])) for row in ROW.finditer(section(package))
    ]


@cache
def functions_in(file: str) -> frozenset[str]:
    tree = ast.parse((ROOT / "tests" / file).read_text(encoding="utf-8"))
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, functions))


@pytest.mark.parametrize("package", PACKAGES)
def test_every_promise_names_a_test_that_exists(package: str) -> None:
    missing = []
    for promise in promises(package):
        assert promise.tests, f"{promise.names} names no test"
        for reference in promise.tests:
            file, _, name = reference.partition("::")
            if not (ROOT / "tests" / file).is_file() or f"test_{name}" not in functions_in(file):
                missing.append(reference)
    assert not missing, "\n".join(missing)


def test_every_public_name_is_listed_with_a_promise_or_a_reason() -> None:
    offences = []
    for package in PACKAGES:
        listed = {name.partition(".")[0] for promise in promises(package) for name in promise.names}
        for line in REASONED.finditer(section(package)):
            listed |= set(code(line["names"]))
        public = set(import_module(package).__all__)
        offences += [(package.rpartition(".")[2], f"{package}.{name}") for name in public ^ listed]
    check("names without a guarantee", offences)
