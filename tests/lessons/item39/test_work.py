"""The work that all versions share, its picture server, and each version run alone."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, closing, suppress
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from aconcur.lessons.item39_queue import original, work
from aconcur.lessons.item39_queue.work import Picture, Served
from tests.support.item39 import (
    PACKAGE,
    picture,
    thumbnails,
)
from tests.support.programs import started
from tests.support.states import until_sync

pytestmark = pytest.mark.timeout(60)


@given(
    size=st.tuples(st.integers(1, 300), st.integers(1, 300)),
    shape=st.sampled_from(
        [("PNG", mode) for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")]
        + [("JPEG", mode) for mode in ("L", "RGB", "CMYK")]
    ),
)
@settings(max_examples=50, deadline=None)
def test_a_resized_picture_is_small_and_keeps_its_kind(
    size: tuple[int, int], shape: tuple[str, str]
) -> None:
    small = work.resize(Picture("http://host/a", picture(size, *shape)))
    with Image.open(BytesIO(small.data)) as image:
        image.load()
        assert image.format == shape[0]
        assert max(image.size) == min(work.SIDE, max(size))
    assert small.name == "a"


@given(data=st.data(), kind=st.sampled_from(["PNG", "JPEG"]))
@settings(max_examples=100, deadline=None)
def test_damaged_bytes_are_a_job_error_or_a_picture(data: st.DataObject, kind: str) -> None:
    damaged = bytearray(picture(kind=kind))
    for _ in range(data.draw(st.integers(0, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(damaged[: data.draw(st.integers(0, len(damaged)))])
    with suppress(work.JobError):
        assert work.resize(Picture("a", cut)).data


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("http://host/a/b.jpg", "b.jpg"),
        ("http://host/b.jpg?size=/large", "b.jpg"),
        ("http://host/b.jpg#/part", "b.jpg"),
        ("http://host/", ""),
        ("", ""),
    ],
)
def test_the_name_of_a_picture(url: str, name: str) -> None:
    assert Picture(url).name == name


def test_the_seed_decides_the_pictures() -> None:
    assert list(work.drawn(5, seed=1)) == list(work.drawn(5, seed=1))
    assert list(work.drawn(5, seed=1)) != list(work.drawn(5, seed=2))
    assert [name for name, _ in work.drawn(24, 1)] == [n for n in work.names(24) if "3." not in n]


def test_the_seed_decides_the_numbers() -> None:
    with work.numbers(50, 1) as first, work.numbers(50, 1) as again, work.numbers(50, 2) as other:
        assert first == again != other
        assert sorted(other[0]) == list(range(50))


def test_the_input_is_served_as_long_as_it_is_used() -> None:
    with work.pictures(2, seed=1) as (urls, to):
        assert [said for _, said, _ in original.pipeline(urls, to)] == ["ok", "ok"]
    assert [said for _, said, _ in original.pipeline(urls, to)] == ["download: ConnectError"] * 2


def address(at: Served) -> tuple[str, int]:
    host, _, port = at.pictures.split("/")[2].partition(":")
    return host, int(port)


def asked(at: Served, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    with closing(http.client.HTTPConnection(*address(at), timeout=20)) as connection:
        connection.request(method, path, body)
        with connection.getresponse() as answer:
            return answer.status, answer.read()


def spoken(at: Served, said: bytes) -> bytes:
    """Send these bytes and no more; return all that the server answers."""
    with socket.create_connection(address(at), timeout=20) as connection:
        connection.sendall(said)
        connection.shutdown(socket.SHUT_WR)
        with connection.makefile("rb") as answer:
            return answer.read()


HOSTILE = [
    "/thumbnails/../stolen",
    "/thumbnails/..",
    "/thumbnails/%2e%2e%2fstolen",
    "/thumbnails/..%2fstolen",
    "/thumbnails/a%2fb",
    "/thumbnails/a%00.jpg",
    "/thumbnails/%0a",
    "/thumbnails/a%0a",
    "/thumbnails/.hidden",
    "/thumbnails/",
    "/thumbnails",
    "/thumbnails//a.jpg",
    "/pictures/00000.jpg",
    "/a.jpg",
    "/thumbnails/" + "a" * 101,
    "/thumbnails/a.jpg?b",
    "http://host/thumbnails/a.jpg",
    "*",
]


@pytest.mark.parametrize("path", HOSTILE)
def test_the_server_writes_under_no_hostile_name(at: Served, path: str) -> None:
    around = set(at.folder.parent.iterdir())
    assert asked(at, "PUT", path, b"data") == (400, b"")
    assert thumbnails(at) == {}
    assert set(at.folder.parent.iterdir()) == around


def test_the_server_sends_its_pictures_and_no_file(at: Served) -> None:
    (at.folder / "a.jpg").write_bytes(b"uploaded")
    assert asked(at, "GET", "/pictures/00008.jpg") == (200, b"This is not a picture.\n")
    for path in ("/thumbnails/a.jpg", "/pictures/a.jpg", "/pictures/../a.jpg", "/pictures/", "*"):
        assert asked(at, "GET", path) == (404, b"")


def test_the_server_refuses_an_endless_path(at: Served) -> None:
    assert asked(at, "PUT", "/thumbnails/" + "a" * 70_000, b"data")[0] == 414


def test_a_name_of_100_characters_is_legal(at: Served) -> None:
    name = "a" * 100
    assert asked(at, "PUT", f"/thumbnails/{name}", b"data")[0] == 201
    assert thumbnails(at) == {name: b"data"}


def test_of_two_uploads_with_one_name_the_last_stays(at: Served) -> None:
    for body in (b"one", b"", b"three"):
        assert asked(at, "PUT", "/thumbnails/a.jpg", body) == (201, b"")
        assert thumbnails(at) == {"a.jpg": body}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (b"", 411),
        (b"Transfer-Encoding: chunked\r\n", 411),
        (b"Content-Length: -1\r\n", 411),
        (b"Content-Length: 1e3\r\n", 411),
        (b"Content-Length: 9999999999\r\n", 413),
    ],
)
def test_the_server_wants_to_know_a_legal_length(at: Served, headers: bytes, status: int) -> None:
    head = b"PUT /thumbnails/a.jpg HTTP/1.1\r\nHost: a\r\n" + headers + b"\r\n"
    assert spoken(at, head).startswith(f"HTTP/1.1 {status} ".encode())
    assert thumbnails(at) == {}


def test_an_upload_that_is_cut_short_leaves_no_file(at: Served) -> None:
    head = b"PUT /thumbnails/a.jpg HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n"
    assert spoken(at, head + b"half") == b""
    assert thumbnails(at) == {}


def test_a_disk_that_fails_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_bytes = Path.write_bytes

    def full(path: Path, data: bytes) -> int:
        write_bytes(path, data[:1])
        raise OSError("disk full")

    with work.Server({}, tmp_path, 0) as server:
        server.save("a.jpg", b"whole")
        monkeypatch.setattr(Path, "write_bytes", full)
        with pytest.raises(OSError, match="disk full"):
            server.save("a.jpg", b"other")
    assert (tmp_path / "a.jpg").read_bytes() == b"whole"


def test_the_server_ends_with_its_block() -> None:
    with work.served(1, 1, 0) as at:
        assert asked(at, "GET", "/pictures/00000.jpg")[0] == 200
    assert not at.folder.exists()
    with pytest.raises(ConnectionError):
        asked(at, "GET", "/pictures/00000.jpg")


def test_the_server_ends_when_its_block_fails() -> None:
    with pytest.raises(ZeroDivisionError), work.served(1, 1, 0):
        _ = 1 / 0


def test_the_server_ends_also_while_it_delays_an_answer() -> None:
    with work.served(1, 1, 3600) as at, socket.create_connection(address(at)) as waiting:
        waiting.sendall(b"GET /pictures/00000.jpg HTTP/1.1\r\n\r\n")
    assert not at.folder.exists()


def test_a_server_that_cannot_start_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(RuntimeError, match="did not start"), work.served(1, 1, 0):
        pass


def test_the_server_ends_when_its_parent_is_killed(private_temporary_folder: Path) -> None:
    code = f"""
import sys
from {PACKAGE} import work
with work.served(1, 1, 0) as at:
    print(at.pictures, flush=True)
    sys.stdin.read()
"""
    before = set(private_temporary_folder.iterdir())
    with python("-c", code) as parent:
        assert parent.stdout
        parent.stdout.readline()
        assert set(private_temporary_folder.iterdir()) > before
        parent.kill()
        parent.wait()
        # The server removes its folder last of all.
        until_sync(lambda: set(private_temporary_folder.iterdir()) == before)


def python(*arguments: str) -> AbstractContextManager[subprocess.Popen[str]]:
    return started(sys.executable, *arguments, stdin=subprocess.PIPE)


def ran(*arguments: str) -> tuple[int, str, str]:
    with python(*arguments) as process:
        out, err = process.communicate(timeout=50)
    return process.returncode, out, err


VERSIONS = ["original", "rebuilt", "toolkit", "original_polling"]


@pytest.mark.parametrize(
    ("version", "first"),
    [
        ("original", "10 pictures, 18 threads"),
        ("rebuilt", "10 pictures, 18 tasks, 2 threads"),
        ("toolkit", "10 pictures, 20 tasks, 2 threads"),
    ],
)
def test_alone_it_says_what_became_of_the_pictures(version: str, first: str) -> None:
    code, out, err = ran("-m", f"{PACKAGE}.{version}")
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        first,
        "7 uploaded, 3 failed",
        "  00003.jpg  download: 404 Not Found",
        "  00006.png  resize: bad picture: image file is truncated",
        "  00008.jpg  resize: not a JPEG or PNG",
    ]


def test_alone_the_polling_workers_say_how_often_they_polled() -> None:
    code, out, err = ran("-m", f"{PACKAGE}.original_polling", "--size", "100")
    assert (code, err) == (0, "")
    assert out.count("worked 100 times") == 3


def test_a_wrong_size_is_a_usage_error() -> None:
    code, out, err = ran("-m", f"{PACKAGE}.rebuilt", "--size", "0")
    assert (code, out) == (2, "")
    assert "not '0'" in err


PATIENT = """
import runpy, sys
from {package} import work

# No answer comes; say so when a request begins.
work.DELAY = 3600.0
plain_errors = work.plain_errors

def announced():
    print("asked\\n", end="", flush=True)  # one write: threads print at once
    return plain_errors()

work.plain_errors = announced
sys.argv = ["alone", "--size", "50"]
runpy.run_module("{package}.{version}", run_name="__main__", alter_sys=True)
"""


@pytest.mark.timeout(60)
@pytest.mark.parametrize("to", [os.kill, os.killpg], ids=["parent", "group"])
@pytest.mark.parametrize("version", ["original", "rebuilt", "toolkit"])
def test_ctrl_c_in_the_middle_ends_all_at_once(
    version: str, to: Callable[[int, int], None], private_temporary_folder: Path
) -> None:
    before = set(private_temporary_folder.iterdir())
    with python("-c", PATIENT.format(package=PACKAGE, version=version)) as process:
        assert process.stdout
        until_sync(lambda: process.stdout and process.stdout.readline() == "asked\n")
        for _ in range(work.DOWNLOADERS - 1):
            assert process.stdout.readline() == "asked\n"
        to(process.pid, signal.SIGINT)
        # Far below TIMEOUT, after which the requests would end by themselves.
        _, err = process.communicate(timeout=50)
    assert process.returncode == 130
    assert "interrupted" in err
    assert len(err.splitlines()) == 1, err
    assert set(private_temporary_folder.iterdir()) == before


@pytest.mark.parametrize("version", ["original", "rebuilt", "toolkit"])
@pytest.mark.parametrize("module", ["PIL", "httpx2"])
def test_a_missing_module_is_named(version: str, module: str) -> None:
    code = f"""
import runpy, sys
sys.modules["{module}"] = None
sys.argv = ["alone"]
runpy.run_module("{PACKAGE}.{version}", run_name="__main__", alter_sys=True)
"""
    status, out, err = ran("-c", code)
    assert (status, out) == (1, "")
    assert f"module {module} was not found" in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("version", VERSIONS)
def test_a_reader_that_leaves_is_no_error(version: str) -> None:
    with python("-m", f"{PACKAGE}.{version}") as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        assert process.stderr.read() == ""
        process.wait(30)
