"""The number of processors that this process may use."""

from __future__ import annotations

__all__ = ("usable_cpus",)

import math
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Final

_ROOT: Final = Path("/sys/fs/cgroup")


def usable_cpus() -> int:
    """Return the number of processors that this process may use, at least 1.

    Counts the processors that it may be scheduled on (sched_getaffinity(2)), or fewer if its
    control groups grant less time: a container with ``--cpus=1.5`` counts 2.

    Source: cgroups(7); cpu.max of version 2, cpu.cfs_quota_us of version 1.
    """
    try:
        cpus = len(os.sched_getaffinity(0))
    except AttributeError:
        cpus = os.cpu_count() or 1
    return max(1, min([cpus, *map(math.ceil, _quotas(Path("/proc/self/cgroup"), _ROOT))]))


def _quotas(membership: Path, root: Path) -> Iterator[float]:
    """Yield the processors that each control group above this process grants."""
    with suppress(OSError):
        for line in membership.read_text().splitlines():
            _, controllers, name = line.split(":", 2)
            if not controllers:
                yield from _quotas_above(root, name)
            elif "cpu" in controllers.split(","):
                yield from _quotas_above(root / "cpu", name)
    # A container may see its own group as the root, under another name.
    yield from _quota(root)
    yield from _quota(root / "cpu")


def _quotas_above(root: Path, name: str) -> Iterator[float]:
    path = PurePosixPath(name.lstrip("/"))
    for part in (path, *path.parents):
        yield from _quota(root / part)


def _quota(group: Path) -> Iterator[float]:
    with suppress(OSError, ValueError):
        quota, period = (group / "cpu.max").read_text().split()
        if quota != "max":
            yield int(quota) / int(period)
    with suppress(OSError, ValueError):
        granted = int((group / "cpu.cfs_quota_us").read_text())
        if granted > 0:
            yield granted / int((group / "cpu.cfs_period_us").read_text())
