"""The look-up table answers every public name of the modules that it covers."""

from __future__ import annotations

from importlib import import_module

import pytest

import aconcur.lock
import aconcur.parallel
import aconcur.pipeline
import aconcur.process
from aconcur.compare.lookup import lookup_tables, read_lookup

MODULES = ("threading", "queue", "subprocess", "concurrent.futures")
# In the modules of newer or older Pythons than the one that runs this.
ELSEWHERE = {
    *("setprofile_all_threads", "settrace_all_threads"),  # 3.12
    *("ShutDown", "InvalidStateError"),  # 3.13
    "InterpreterPoolExecutor",  # 3.14
}


@pytest.mark.parametrize("module", MODULES)
def test_every_public_name_is_answered_once(module: str) -> None:
    answered = [name for row in read_lookup() if row.module == module for name in row.names]
    assert len(answered) == len(set(answered))
    public = set(import_module(module).__all__)
    assert public <= set(answered)
    top = {name for name in answered if "." not in name}
    assert top - public <= ELSEWHERE


@pytest.mark.parametrize("module", MODULES)
def test_every_method_that_is_answered_exists(module: str) -> None:
    for row in read_lookup():
        for name in row.names:
            if row.module == module and "." in name:
                owner, method = name.split(".")
                assert hasattr(getattr(import_module(module), owner), method)


def test_every_name_of_aconcur_in_it_exists() -> None:
    doors = (aconcur.lock, aconcur.parallel, aconcur.pipeline, aconcur.process)
    public = {name for door in doors for name in door.__all__}
    for name in [
        "AlreadyHeldError",
        "Guarded",
        "ThreadGuarded",
        "Queue",
        "QueueClosed",
        "THREADS",
        "stage",
        "run_many",
        "Command",
        "CommandFailed",
        "CommandTimeout",
        "Completed",
        "TaskTimeout",
        "WorkerDied",
        "open_pool",
        "map",
    ]:
        assert name in public


def test_each_module_is_a_table_of_three_columns() -> None:
    tables = list(lookup_tables())
    heads = [f"you have, of `{module}`" for module in (*MODULES, "generators")]
    assert [table.columns[0] for table in tables] == heads
    assert all(len(row) == 3 and all(row) for table in tables for row in table.rows)
