"""Pipes are enlarged within a share of what the system grants a user, and given back."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import pytest

from aconcur._core.pipe_budget import DEFAULT_SIZE, PipeBudget, new_pipe

LARGE = 1 << 20
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="only Linux sets a pipe's size")


@pytest.fixture
def pipes() -> Iterator[list[int]]:
    fds: list[int] = []
    for _ in range(17):
        fds += new_pipe()
    yield fds[1::2]
    for fd in fds:
        os.close(fd)


@linux_only
def test_sixteen_pipes_are_enlarged_and_the_next_is_not(pipes: list[int]) -> None:
    budget, other = PipeBudget(), PipeBudget()
    try:
        assert [budget.enlarge(fd) for fd in pipes[:16]] == [LARGE] * 16
        assert other.enlarge(pipes[16]) == DEFAULT_SIZE
        other.release()
        assert other.enlarge(pipes[16]) == DEFAULT_SIZE
    finally:
        budget.release()
    assert other.enlarge(pipes[16]) == LARGE
    other.release()


@linux_only
def test_refused_size_takes_nothing_from_the_budget(
    pipes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError

    budget = PipeBudget()
    with monkeypatch.context() as patch:
        patch.setattr("aconcur._core.pipe_budget.fcntl", refuse)
        assert [budget.enlarge(fd) for fd in pipes] == [DEFAULT_SIZE] * 17
    try:
        assert [budget.enlarge(fd) for fd in pipes[:16]] == [LARGE] * 16
    finally:
        budget.release()


def test_other_systems_keep_the_default_size(
    pipes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert PipeBudget().enlarge(pipes[0]) == DEFAULT_SIZE


def test_children_do_not_inherit_a_pipe(pipes: list[int]) -> None:
    assert not any(os.get_inheritable(fd) for fd in pipes)
