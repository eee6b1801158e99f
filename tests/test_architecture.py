"""Imports run one way, packages meet at their public doors, and a folder stays small."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.support.imports import ROOT, Import, find_circles, imports_of, module_name, read_imports
from tests.support.known import check, part_of

MOST_MODULES: Final = 18

WORKER: Final = {"_pool_worker", "_worker"}
TOOLKIT: Final = {"life", "lock", "parallel", "pipeline", "process", "testing"}
# What each package or top-level module of aconcur may import of the others.
MAY_IMPORT: Final = {
    "errors": set(),
    "_core": {"errors"},
    "_run": {"_core"},
    "_pool_worker": set(),
    "_worker": set(),
    "life": {"_core", "errors"},
    "lock": {"_core", "errors"},
    "testing": {"_core", "errors"},
    "process": {"_core", "errors"},
    "parallel": {"_core", "errors"} | WORKER,
    "pipeline": {"_core", "errors", "parallel", "process"},
    "lessons": {"_core", "errors"} | TOOLKIT,
    "compare": {"_core", "errors", "lessons"} | TOOLKIT,
    "cli": {"_core", "errors"} | TOOLKIT,
}
# These two commands show lessons; the others work on a user's own data.
SHOWING_LESSONS: Final = {"aconcur.cli.compare", "aconcur.cli.race"}


def package_of(module: str) -> str:
    """Return the package or top-level module of aconcur that a dotted name leads into."""
    top, *inner = module.split(".")
    return inner[0] if top == "aconcur" and inner else ""


def within_aconcur(*folders: str) -> Iterator[tuple[str, str, Import]]:
    """Yield who imports which package of aconcur, for each import in the given folders."""
    for found in read_imports(*folders):
        if found.target.split(".")[0] == "aconcur":
            yield package_of(module_name(found.file)), package_of(found.target), found


def is_private(target: str) -> bool:
    """Return whether a dotted name has a part that begins with one underscore."""
    return any(part[0] == "_" and part[:2] != "__" for part in target.split("."))


def crosses_a_private_door(importer: str, imported: str, found: Import) -> bool:
    if importer == imported or not is_private(found.target):
        return False
    if importer == "" and imported == "_run":  # what the door itself offers
        return False
    if found.file.name == "toolkit.py":  # a lesson's toolkit version is what a user would write
        return True
    return imported != "_core" and not (importer == "parallel" and imported in WORKER)


def test_packages_import_only_packages_below_them() -> None:
    offences = []
    for importer, imported, found in within_aconcur("src"):
        if importer in {"", "__main__", imported} or imported in {"", "__version__"}:
            continue
        showing = {"compare", "lessons"} if module_name(found.file) in SHOWING_LESSONS else set()
        if imported not in MAY_IMPORT[importer] | showing:
            offences.append((part_of(found.file), found))
    check("imports upwards", offences)


def test_private_names_are_imported_only_inside_their_package() -> None:
    programs = [
        (part_of(found.file), found)
        for _, _, found in within_aconcur("examples", "benchmarks")
        if is_private(found.target)
    ]
    packages = [
        (part_of(found.file), found)
        for importer, imported, found in within_aconcur("src")
        if crosses_a_private_door(importer, imported, found)
    ]
    check("private imports", packages + programs)


def test_tests_of_behaviour_use_public_doors() -> None:
    offences = [
        (part_of(found.file), found)
        for _, imported, found in within_aconcur("tests")
        # Nothing public shows the shared core, so its own tests open it.
        if is_private(found.target) and not imported == part_of(found.file) == "_core"
    ]
    check("private imports in tests", offences)


def test_no_modules_import_each_other() -> None:
    modules = {module_name(path.relative_to(ROOT)) for path in (ROOT / "src").rglob("*.py")}
    edges: dict[str, set[str]] = {module: set() for module in modules}
    for _, _, found in within_aconcur("src"):
        importer, imported = module_name(found.file), found.target
        while imported not in modules:
            imported = imported.rpartition(".")[0]
        if importer != imported and not found.deferred:
            edges[importer].add(imported)
    circles = find_circles(edges)
    check("import circles", [(package_of(way[0]), " → ".join(way)) for way in circles])


def test_a_folder_holds_at_most_18_modules() -> None:
    modules = Counter(
        path.relative_to(ROOT).parent
        for path in (ROOT / "src").rglob("*.py")
        if path.name != "__init__.py"
    )
    crowded = [
        (part_of(folder / "module.py"), f"{folder}: {count} modules")
        for folder, count in modules.items()
        if count > MOST_MODULES
    ]
    check("crowded folders", crowded)


def test_a_worker_process_starts_with_the_standard_library_alone() -> None:
    # The time until a worker serves is mostly the time of its imports.
    offences = [
        (part_of(found.file), found)
        for found in read_imports("src")
        if package_of(module_name(found.file)) in WORKER and not found.deferred
        if package_of(found.target) not in WORKER
        if found.target.split(".")[0] not in sys.stdlib_module_names
    ]
    check("imports in a worker", offences)


@pytest.mark.parametrize(
    ("edges", "circles"),
    [
        ({"a": ["b"], "b": ["c"], "c": []}, []),
        ({"a": ["b"], "b": ["a"]}, [["a", "b", "a"]]),
        ({"a": ["b", "c"], "b": ["c"], "c": ["a"]}, [["a", "c", "a"]]),
        ({"a": ["b"], "b": ["a", "c"], "c": ["d"], "d": ["c"]}, [["c", "d", "c"], ["a", "b", "a"]]),
    ],
    ids=["none", "of two", "shortest", "several"],
)
def test_circles_are_named(edges: dict[str, list[str]], circles: list[list[str]]) -> None:
    assert find_circles(edges) == circles


def test_every_form_of_import_is_found(tmp_path: Path) -> None:
    file = tmp_path / "src" / "top" / "inner" / "module.py"
    file.parent.mkdir(parents=True)
    file.write_text(
        "import a.b as c, d\n"
        "from e.f import g, h\n"
        "from . import i\n"
        "from ..j import k\n"
        "class L:\n"
        "    async def m():\n"
        "        if n:\n"
        "            import o\n"
    )
    found = imports_of(file, tmp_path)
    assert sorted((one.line, one.target, one.deferred) for one in found) == [
        (1, "a.b", False),
        (1, "d", False),
        (2, "e.f.g", False),
        (2, "e.f.h", False),
        (3, "top.inner.i", False),
        (4, "top.j.k", False),
        (8, "o", True),
    ]
