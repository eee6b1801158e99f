"""Run the fault table of a lesson.

A lesson with a module ``faults.py`` lists its scenarios there, by fault and version. Each runs in a
process of its own, one after another, with :func:`aconcur.lessons.under_fault.observe`.
"""

from __future__ import annotations

__all__ = ("run_faults",)

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from aconcur.compare.lesson import Lesson
from aconcur.compare.machine import describe_machine
from aconcur.compare.record import FaultRecord
from aconcur.errors import UnsupportedPlatformError
from aconcur.lessons.under_fault import FAULTS, Scenarios, observe


def run_faults(
    lesson: Lesson, on_step: Callable[[str], object] = lambda _: None
) -> FaultRecord | None:
    """Run each version into each fault; return what was observed.

    Blocks for about a minute: a version that does not end is given eight seconds. Needs Linux.

    Args:
        lesson: the lesson.
        on_step: called with a line of text before each fault.

    Returns:
        The table, or None if the lesson has none.

    Raises:
        UnsupportedPlatformError: this is not Linux.
    """
    if not lesson.has_faults:
        return None
    if not Path("/proc/self/environ").exists():
        raise UnsupportedPlatformError("the fault table", "the /proc of Linux")
    module = f"{lesson.package}.faults"
    scenarios: Scenarios = import_module(module).SCENARIOS
    rows = {}
    for fault in FAULTS:
        if versions := scenarios.get(fault):
            on_step(f"item {lesson.item}: {fault}")
            rows[fault] = {version: observe(module, version, fault) for version in versions}
    return FaultRecord(describe_machine(), lesson.fault_digests(), rows)
