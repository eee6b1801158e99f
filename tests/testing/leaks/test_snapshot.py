"""A snapshot holds what is there, tells what is new, and leaves out what lives long by design."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import threading
from multiprocessing import resource_tracker
from pathlib import Path

import anyio.to_thread
import pytest

from aconcur.testing import Snapshot
from aconcur.testing._leaks.snapshot import adopting_orphans, temporary_files_in
from tests.support.states import until_sync

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def test_nothing_is_new_when_nothing_happened() -> None:
    before = Snapshot.take()
    left = Snapshot.take().since(before)
    assert not left
    assert str(left) == "{}"


@linux
def test_a_descriptor_is_told_by_what_it_points_to() -> None:
    before = Snapshot.take()
    descriptor = os.open(os.devnull, os.O_RDONLY)
    left = Snapshot.take().since(before)
    os.close(descriptor)
    assert left.descriptors == {descriptor: "/dev/null"}
    assert str(left) == f"{{'descriptors': {{{descriptor}: '/dev/null'}}}}"


@linux
def test_a_number_that_points_elsewhere_is_new() -> None:
    descriptor = os.open(os.devnull, os.O_RDONLY)
    before = Snapshot.take()
    zero = os.open("/dev/zero", os.O_RDONLY)
    os.dup2(zero, descriptor)
    os.close(zero)
    left = Snapshot.take().since(before)
    os.close(descriptor)
    assert left.descriptors == {descriptor: "/dev/zero"}


def test_a_thread_is_held_while_it_runs() -> None:
    before = Snapshot.take()
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    assert Snapshot.take().since(before).threads == {thread}
    stop.set()
    thread.join()
    assert not Snapshot.take().since(before)


@linux
def test_children_and_grandchildren_are_held_by_name() -> None:
    before = Snapshot.take()
    with subprocess.Popen(["sh", "-c", "sleep 60 & wait"], start_new_session=True) as child:
        until_sync(lambda: "sleep" in Snapshot.take().since(before).children.values())
        left = Snapshot.take().since(before)
        os.killpg(child.pid, signal.SIGKILL)
    assert sorted(left.children.values()) == ["sh", "sleep"]
    assert left.children[child.pid] == "sh"


@linux
def test_a_dead_child_says_so() -> None:
    before = Snapshot.take()
    child = subprocess.Popen(["true"])
    until_sync(lambda: "dead" in Snapshot.take().since(before).children[child.pid])
    assert Snapshot.take().since(before).children == {child.pid: "true (dead, never waited for)"}
    child.wait()
    assert not Snapshot.take().since(before)


@linux
def test_an_orphan_is_held_by_who_adopts_it() -> None:
    before = Snapshot.take()
    with adopting_orphans():
        orphan = orphaned()
        assert set(Snapshot.take().since(before).children) == {orphan}
        os.kill(orphan, signal.SIGKILL)
        os.waitpid(orphan, 0)
    assert not Snapshot.take().since(before)


@linux
def test_adoption_ends_with_its_block_and_nests() -> None:
    with adopting_orphans():
        with adopting_orphans():
            pass
        orphan = orphaned()
        held = Snapshot.take().children
        os.kill(orphan, signal.SIGKILL)
        os.waitpid(orphan, 0)
        assert orphan in held, "the inner block restores the outer one's state"
    orphan = orphaned()
    held = Snapshot.take().children
    os.kill(orphan, signal.SIGKILL)
    assert orphan not in held


def orphaned() -> int:
    """Return the pid of a process whose parent has gone."""
    script = ["sh", "-c", "sleep 60 >&- 2>&- & echo $!"]
    return int(subprocess.run(script, check=True, capture_output=True).stdout)


def test_the_files_of_a_folder_are_held(tmp_path: Path) -> None:
    (tmp_path / "old").touch()
    before = Snapshot.take(tmp_path)
    (tmp_path / "new").mkdir()
    left = Snapshot.take(tmp_path).since(before)
    assert left.files == {tmp_path / "new"}
    assert str(left).startswith("{'temporary files': {")


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Snapshot.take(tmp_path / "absent")


def test_temporary_files_go_to_the_folder_for_a_time(tmp_path: Path) -> None:
    before = tempfile.gettempdir(), os.environ.get("TMPDIR")
    with temporary_files_in(tmp_path):
        made = tempfile.mkdtemp()
        child = subprocess.run(["mktemp"], check=True, capture_output=True, text=True)
    assert Path(made).parent == tmp_path
    assert Path(child.stdout).parent == tmp_path
    assert (tempfile.gettempdir(), os.environ.get("TMPDIR")) == before


def test_an_environment_without_tmpdir_gets_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TMPDIR")
    with temporary_files_in(tmp_path):
        pass
    assert "TMPDIR" not in os.environ


def test_the_resource_tracker_is_not_held() -> None:
    before = Snapshot.take()
    resource_tracker.ensure_running()
    assert not Snapshot.take().since(before)


@pytest.mark.parametrize("anyio_backend", ["trio"], indirect=True)
async def test_trios_idle_threads_are_not_held() -> None:
    before = Snapshot.take()
    await anyio.to_thread.run_sync(int)
    assert not Snapshot.take().since(before).threads


@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
async def test_the_thread_that_waits_for_asyncios_child_is_not_held() -> None:
    before = Snapshot.take()
    child = await asyncio.create_subprocess_exec("sleep", "60")
    assert not Snapshot.take().since(before).threads
    child.kill()
    await child.wait()


def test_without_proc_descriptors_and_children_stay_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(*_: object) -> object:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "is_dir", lambda _: False)
    monkeypatch.setattr(os, "listdir", absent)
    snapshot = Snapshot.take()
    assert not snapshot.descriptors
    assert not snapshot.children
    assert threading.current_thread() in snapshot.threads
