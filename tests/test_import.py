"""``import aconcur`` is cheap: extras, lessons and compare are loaded only where they are used."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {
    "PIL",
    "cloudpickle",
    "dask",
    "distributed",
    "httpx2",
    "numba",
    "numpy",
    "rich",
    "trio",
    "uvloop",
    "aconcur.lessons",
    "aconcur.compare",
}


def _modules_after(statement: str) -> set[str]:
    code = f"{statement}\nimport sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "module",
    [
        "aconcur",
        "aconcur.life",
        "aconcur.lock",
        "aconcur.parallel",
        "aconcur.pipeline",
        "aconcur.process",
        "aconcur.testing",
    ],
)
def test_import_loads_nothing_heavy(module: str) -> None:
    assert not _modules_after(f"import {module}") & HEAVY


@pytest.mark.parametrize("option", ["--help", "--version", "thumbnails --help"])
def test_command_loads_nothing_heavy_before_its_work(option: str) -> None:
    program = f"""
import contextlib, io, aconcur.cli
with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
    aconcur.cli.main({option.split()})
"""
    assert not _modules_after(program) & HEAVY


def test_a_package_is_loaded_when_it_is_first_used() -> None:
    used = _modules_after("import aconcur; aconcur.lock.Guarded(1)")
    assert "aconcur.lock" in used
    assert "aconcur.pipeline" not in used


def test_what_is_offered_is_listed_and_what_is_not_is_an_error() -> None:
    import aconcur

    assert set(aconcur.__all__) <= set(dir(aconcur))
    assert all(getattr(aconcur, name) is not None for name in aconcur.__all__)
    with pytest.raises(AttributeError, match="module 'aconcur' has no attribute 'pipelines'"):
        aconcur.pipelines  # type: ignore[attr-defined]  # noqa: B018


def test_import_loads_little_more_than_anyio() -> None:
    added = _modules_after("import aconcur") - _modules_after("import anyio")
    stdlib = {name for name in added if name.partition(".")[0] in sys.stdlib_module_names}
    assert added - stdlib == {"aconcur", "aconcur.errors"}
