"""A file's name leads to the whole old content or the whole new one, whatever happens between."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from aconcur._core.atomic_file import replace_file


def leave_by(error: type[BaseException]) -> int:
    raise error


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def test_content_is_replaced_when_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with replace_file(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_block_that_raises_leaves_the_old_content_alone(
    tmp_path: Path, error: type[BaseException]
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(error), replace_file(path) as file:
        file.write(b"half of the new" + bytes(leave_by(error)))
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["file"]


def test_permissions_of_an_existing_file_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    path.chmod(0o640)
    with replace_file(path) as file:
        file.write(b"new")
    assert path.stat().st_mode & 0o7777 == 0o640


def test_reader_of_the_old_content_reads_on(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old content")
    with path.open("rb", buffering=0) as reader:
        assert reader.read(4) == b"old "
        with replace_file(path) as file:
            file.write(b"new")
        assert reader.read() == b"content"
    assert path.read_bytes() == b"new"


def test_symbolic_link_stays_a_link_to_the_new_content(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_bytes(b"old")
    link.symlink_to("target")
    with replace_file(link) as file:
        file.write(b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"


def test_named_pipe_is_written_directly(tmp_path: Path) -> None:
    path, read = tmp_path / "pipe", list[bytes]()
    os.mkfifo(path)
    reader = threading.Thread(target=lambda: read.append(path.read_bytes()))
    reader.start()
    with replace_file(path) as file:
        file.write(b"new")
    reader.join()
    assert read == [b"new"]
    assert path.is_fifo()


def test_error_names_the_file_that_was_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "absent" / "file"
    with pytest.raises(FileNotFoundError) as raised, replace_file(path):
        pass
    assert raised.value.filename == str(path)
