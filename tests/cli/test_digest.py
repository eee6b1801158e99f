"""``aconcur digest``: the digests of cipher texts, as the shell gives them."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.commands import children_of
from tests.support.extras import skip_without
from tests.support.programs import started
from tests.support.states import until_sync

PASSWORD = "hush hush"
DIGEST = [sys.executable, "-m", "aconcur", "digest"]


def digest(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*DIGEST, *arguments],
        capture_output=True,
        text=True,
        env=os.environ | {"ACONCUR_PASSWORD": PASSWORD, "PYTHONUNBUFFERED": ""} | environment,
        timeout=60,
        check=False,
    )


def by_the_shell(file: Path, cipher: str, name: str) -> str:
    line = (
        f'openssl enc -{cipher} -pbkdf2 -S 7468652073616c74 -pass env:P < "$1" | openssl {name} -r'
    )
    done = subprocess.run(
        ["sh", "-c", line, "sh", str(file)],
        capture_output=True,
        text=True,
        env=os.environ | {"P": PASSWORD},
        check=True,
    )
    return f"{done.stdout.split()[0]}  {file}"


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Return files of which the first takes the longest."""
    found = [tmp_path / name for name in ("large", "empty", "with space", "small")]
    for file, size in zip(found, [5_000_000, 0, 70_000, 10], strict=True):
        file.write_bytes(os.urandom(size))
    return found


def test_a_name_that_is_no_text_comes_out_as_it_is(tmp_path: Path) -> None:
    file = os.fsencode(tmp_path) + b"/name \xff"
    Path(os.fsdecode(file)).write_bytes(b"data")
    done = subprocess.run(
        [*map(os.fsencode, DIGEST), file],
        capture_output=True,
        env=os.environ | {"ACONCUR_PASSWORD": PASSWORD, "PYTHONIOENCODING": "utf-8:strict"},
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(b"  " + file + b"\n")


@pytest.mark.parametrize(
    ("options", "cipher", "name"),
    [
        ([], "aes-256-ctr", "sha256"),
        (["--book"], "des3", "md5"),
        (["--cipher", "aes-128-cbc", "--digest", "sha512", "--jobs", "1"], "aes-128-cbc", "sha512"),
    ],
)
def test_lines_are_the_shells_in_the_order_of_the_files(
    files: list[Path], options: list[str], cipher: str, name: str
) -> None:
    done = digest(*options, *files)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [by_the_shell(file, cipher, name) for file in files]
    assert done.stderr.splitlines()[-1] == "4 files"
    assert ("an exercise, not advice" in done.stderr) == ("--book" in options)


def test_the_password_comes_from_a_variable_or_a_file(files: list[Path], tmp_path: Path) -> None:
    expected = digest(files[3]).stdout
    secret = tmp_path / "secret"
    secret.write_text(f"{PASSWORD}\nmore\n")
    assert digest("--password-file", secret, files[3], ACONCUR_PASSWORD="x").stdout == expected
    assert digest("--password-env", "MINE", files[3], MINE=PASSWORD).stdout == expected
    assert digest(files[3], ACONCUR_PASSWORD="x").stdout != expected


def test_what_cannot_be_read_is_named_and_the_rest_is_done(
    files: list[Path], tmp_path: Path
) -> None:
    missing, folder = tmp_path / "missing", tmp_path / "folder"
    folder.mkdir()
    done = digest(missing, files[3], folder, "")
    assert done.returncode == 1
    assert done.stdout.splitlines() == [by_the_shell(files[3], "aes-256-ctr", "sha256")]
    assert f"aconcur: {missing}: No such file or directory\n" in done.stderr
    assert f"aconcur: {folder}: Is a directory\n" in done.stderr
    assert "aconcur: '': No such file or directory\n" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("aconcur: 3 of 4 files could not be digested")
    assert "Traceback" not in done.stderr
    assert PASSWORD not in done.stderr


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="no file here fails when read")
def test_a_file_that_fails_while_it_is_read_has_no_digest() -> None:
    done = digest("/proc/self/mem")
    assert (done.returncode, done.stdout) == (1, "")
    assert "aconcur: /proc/self/mem: Input/output error\n" in done.stderr


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("cat > /dev/null; echo; echo no such digest >&2; exit 3", "exited with 3: no such digest"),
        ("cat > /dev/null; exit 3", "exited with 3"),
        ("kill -KILL $$", "was killed by SIGKILL"),
        ("cat > /dev/null", "printed no digest"),
    ],
)
def test_why_openssl_failed_is_said(
    files: list[Path], tmp_path: Path, script: str, said: str
) -> None:
    openssl = tmp_path / "bin" / "openssl"
    openssl.parent.mkdir()
    openssl.write_text(f"#!/bin/sh\n{script}\n")
    openssl.chmod(0o755)
    done = digest(files[3], PATH=f"{openssl.parent}{os.pathsep}{os.environ['PATH']}")
    assert (done.returncode, done.stdout) == (1, "")
    first, *_ = done.stderr.splitlines()
    assert first.startswith(f"aconcur: {files[3]}: openssl dgst ")
    assert first.endswith(said)


def test_an_openssl_that_cannot_be_run_is_not_blamed_on_the_file(
    files: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "openssl").write_text("")
    done = digest(files[3], PATH=str(tmp_path))
    assert done.returncode == 1
    assert "did not start: Permission denied" in done.stderr


def test_an_odd_name_is_escaped_as_md5sum_does(tmp_path: Path) -> None:
    odd = tmp_path / "a\\b\nc"
    odd.write_bytes(b"x")
    line = digest(odd).stdout
    assert line.startswith("\\")
    assert line.endswith("a\\\\b\\nc\n")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "required: FILE"),
        (["--jobs", "0", "x"], "--jobs must be at least 1, not 0"),
        (["--book", "--digest", "md5", "x"], "--book says cipher and digest by itself"),
        (["--digest", "crc", "x"], "invalid choice: 'crc'"),
        (["--password-env", "UNSET", "x"], "set the variable UNSET"),
        (["--password-env", "EMPTY", "x"], "set the variable EMPTY"),
        (["--password-file", os.devnull, "x"], "has no first line"),
        (["--password-env", "A", "--password-file", "b", "x"], "not allowed with argument"),
    ],
)
def test_a_wrong_command_line_exits_with_two(
    refused: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    complaint: str,
) -> None:
    monkeypatch.setenv("EMPTY", "")
    assert complaint in refused("digest", *arguments)


def test_without_openssl_it_says_so_once(files: list[Path], tmp_path: Path) -> None:
    done = digest(*files, PATH=str(tmp_path))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1].startswith("aconcur: openssl was not found: install it")
    assert "Traceback" not in done.stderr


def test_ctrl_c_leaves_nothing() -> None:
    with started(*DIGEST, "/dev/zero", env={"ACONCUR_PASSWORD": PASSWORD}) as process:
        until_sync(lambda: len(children_of(process.pid)) == 2)
        children = children_of(process.pid)
        os.kill(process.pid, signal.SIGINT)
        output, errors = process.communicate(timeout=50)
        assert (process.returncode, output, errors) == (130, "", "aconcur: interrupted\n")
        assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]


@skip_without("rich")
def test_a_terminal_sees_how_far_it_has_come(files: list[Path]) -> None:
    leader, follower = pty.openpty()
    done = subprocess.run(
        [*DIGEST, *files],
        stdout=subprocess.PIPE,
        stderr=follower,
        env=os.environ | {"ACONCUR_PASSWORD": PASSWORD},
        check=True,
    )
    os.close(follower)
    screen = os.read(leader, 4096).decode()
    os.close(leader)
    assert "1/4 files\r\x1b[2K" in screen
    assert screen.endswith("4 files\r\n")
    assert len(done.stdout.splitlines()) == 4
