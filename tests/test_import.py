"""``import aconcur`` is cheap and brings nothing that was not asked for."""

from __future__ import annotations

import subprocess
import sys

HEAVY = {"rich", "numpy", "trio", "httpx2", "PIL", "aconcur.lessons", "aconcur.compare"}


def _modules_after(statement: str) -> set[str]:
    code = f"{statement}; import sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_the_import_loads_nothing_heavy() -> None:
    assert not _modules_after("import aconcur") & HEAVY


def test_the_testing_tools_load_nothing_heavy() -> None:
    assert not _modules_after("import aconcur.testing") & (HEAVY | {"uvloop"})


def test_the_pipeline_loads_nothing_heavy() -> None:
    assert not _modules_after("import aconcur.pipeline") & HEAVY


def test_life_loads_nothing_heavy() -> None:
    assert not _modules_after("import aconcur.life") & (HEAVY | {"numba"})


def test_the_command_loads_nothing_heavy_before_it_knows_what_to_do() -> None:
    assert not _modules_after("import aconcur.cli") & HEAVY


def test_the_import_loads_hardly_more_than_anyio_does() -> None:
    added = _modules_after("import aconcur") - _modules_after("import anyio")
    stdlib = {name for name in added if name.partition(".")[0] in sys.stdlib_module_names}
    assert added - stdlib == {"aconcur", "aconcur.errors"}
