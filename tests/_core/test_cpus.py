"""Processors are counted by affinity, and by what each control group above us grants."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from aconcur._core import cpus

NONE = Path("/nowhere")


def grants(membership: str, files: dict[str, str], folder: Path) -> list[float]:
    (folder / "membership").write_text(membership)
    for name, text in files.items():
        path = folder / "root" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return sorted(set(cpus._quotas(folder / "membership", folder / "root")))


@pytest.mark.parametrize(
    ("membership", "files", "expected"),
    [
        ("0::/a/b\n", {"a/b/cpu.max": "150000 100000", "a/cpu.max": "max 100000"}, [1.5]),
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000", "a/cpu.max": "50000 100000"}, [0.5]),
        ("0::/elsewhere\n", {"cpu.max": "300000 100000"}, [3.0]),
        (
            "4:memory:/m\n5:cpu,cpuacct:/c\n",
            {"cpu/c/cpu.cfs_quota_us": "250000", "cpu/c/cpu.cfs_period_us": "100000"},
            [2.5],
        ),
        ("5:cpu:/c\n", {"cpu/c/cpu.cfs_quota_us": "-1", "cpu/c/cpu.cfs_period_us": "100000"}, []),
        ("0::/a\n", {"a/cpu.max": "nonsense"}, []),
    ],
    ids=["own group", "group above", "root under another name", "version 1", "no limit", "unread"],
)
def test_quota_of_a_control_group_is_read(
    membership: str, files: dict[str, str], expected: list[float], tmp_path: Path
) -> None:
    assert grants(membership, files, tmp_path) == expected


def test_part_of_a_processor_counts_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for share in (0.0, 0.2):
        monkeypatch.setattr(cpus, "_quotas", lambda *_, share=share: [share])
        assert cpus.usable_cpus() == 1
    monkeypatch.setattr(cpus, "_quotas", lambda *_: [1.5])
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(64), raising=False)
    assert cpus.usable_cpus() == 2


def test_affinity_bounds_the_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpus, "_quotas", lambda *_: [])
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 3, 5}, raising=False)
    assert cpus.usable_cpus() == 3


@pytest.mark.parametrize(("count", "expected"), [(6, 6), (None, 1)])
def test_system_without_affinity_counts_all(
    monkeypatch: pytest.MonkeyPatch, count: int | None, expected: int
) -> None:
    monkeypatch.setattr(cpus, "_ROOT", NONE)
    monkeypatch.setattr(cpus, "_quotas", lambda *_: [])
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: count)
    assert cpus.usable_cpus() == expected
