"""``aconcur thumbnails`` against a real server of pictures, many of which are bad."""

from __future__ import annotations

import codecs
import gc
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from threading import Thread
from typing import ClassVar

import anyio
import pytest
from PIL import Image

from aconcur.cli.pictures import (
    MAX_BYTES,
    Folder,
    Network,
    Picture,
    PictureError,
    named,
    shrink,
)
from aconcur.cli.thumbnails import urls_of
from aconcur.pipeline import Journal
from tests.support.picture_server import Kind, Server, bomb, draw, kind_of, served
from tests.support.programs import started
from tests.support.states import until_sync

COUNT = 40
THUMBNAILS = [sys.executable, "-m", "aconcur", "thumbnails"]
NO_PROXY = {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
ENVIRONMENT = {**os.environ, **NO_PROXY}


def thumbnails(
    *arguments: str | Path, stdin: str = "", cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*THUMBNAILS, *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        errors="surrogateescape",
        timeout=60,
        check=False,
        input=stdin,
        env=ENVIRONMENT,
    )


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with served(COUNT) as server:
        yield server


@pytest.fixture
def urls(server: Server, tmp_path: Path) -> Path:
    file = tmp_path / "urls.txt"
    file.write_text("# pictures\n\n" + "\n".join(server.pictures))
    return file


def bad(*fine: Kind) -> dict[int, Kind]:
    fine = (Kind.FINE, Kind.FLAKY, *fine)
    return {number: kind for number in range(COUNT) if (kind := kind_of(number)) not in fine}


def test_into_a_folder_and_resumed(server: Server, urls: Path, tmp_path: Path) -> None:
    to, journal = tmp_path / "deep" / "thumbs", tmp_path / "run.db"
    arguments: list[str | Path] = [
        urls,
        "--to",
        to,
        "--size",
        "100",
        "--timeout",
        "1.5",
        "--resume",
        journal,
    ]
    done = thumbnails(*arguments)
    expected = bad(Kind.REFUSED)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    for number, kind in expected.items():
        [line] = [
            line for line in done.stderr.splitlines() if f" {server.pictures[number]}:" in line
        ]
        assert kind.value in line
    assert f"aconcur: {len(expected)} of {COUNT} thumbnails could not be made: " in done.stderr
    assert f"{COUNT}/{COUNT} items" in done.stderr
    assert "download" in done.stderr.partition("stage ")[2]

    files = list(to.iterdir())
    assert sorted(done.stdout.splitlines()) == sorted(map(str, files))
    assert len(files) == COUNT - len(expected)
    assert {file.parent for file in tmp_path.rglob("*.jpg")} == {to}
    for file in files:
        with Image.open(file) as image:
            image.load()
            assert max(image.size) == 100
            assert file.suffix == (".png" if image.mode == "RGBA" else ".jpg")

    before = {file: file.stat().st_mtime_ns for file in files}
    again = thumbnails(*arguments)
    assert (again.returncode, again.stdout) == (1, "")
    assert f"({COUNT} items recorded before)" in again.stderr
    assert again.stderr.count(server.pictures[3]) == 1
    assert {file: file.stat().st_mtime_ns for file in to.iterdir()} == before


def test_uploaded(server: Server) -> None:
    fine = [url for number, url in enumerate(server.pictures) if number not in bad()]
    refused = [url for number, url in enumerate(server.pictures) if kind_of(number) is Kind.REFUSED]
    done = thumbnails(*refused, "-", "--to", server.thumbnails, stdin="\n".join(fine))
    assert done.returncode == 1
    assert done.stderr.count(": keep: 507 Insufficient Storage") == len(refused) == 2
    uploaded = server.uploaded()
    assert sorted(done.stdout.splitlines()) == sorted(
        f"{server.thumbnails}/{name}" for name in uploaded
    )
    assert len(uploaded) == len(fine)
    assert min(uploaded.values()) > 100


def test_all_is_fine(server: Server, tmp_path: Path) -> None:
    done = thumbnails(server.pictures[0], server.pictures[0], "--to", tmp_path / "out")
    assert (done.returncode, done.stdout) == (0, f"{tmp_path / 'out' / '000.jpg'}\n")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--to", "x"], "required: URL|FILE"),
        (["http://localhost/a.png"], "required: --to"),
        (["http://localhost/a.png", "--to", "x", "--size", "0"], "--size must be more than 0, not"),
        (["http://localhost/a.png", "--to", "x", "--workers", "-1"], "--workers must be more than"),
        (["http://localhost/a.png", "--to", "x", "--timeout", "nan"], "--timeout must be more tha"),
        (
            ["http://[::1/a.png", "--to", "x"],
            "error: 'http://[::1/a.png' is not an http or https URL",
        ),
        (["http://localhost:99999/a.png", "--to", "x"], "'http://localhost:99999/a.png' is not a"),
        (
            ["ftp://localhost/a.png", "--to", "x"],
            "'ftp://localhost/a.png' is not an http or https URL",
        ),
        (["http://localhost/a.png", "--to", "http:///"], "--to: 'http:///' is not an http or h"),
        ([os.devnull, "--to", "x"], "there is no URL to start with"),
        ([__file__, "--to", "x"], 'line 1: \'"""``aconcur thumbnails`` against'),
        ([sys.executable, "--to", "x"], "is not a list of URLs: it is not text in UTF-8"),
    ],
)
def test_a_wrong_command_line_exits_with_two(
    refused: Callable[..., str], arguments: list[str], complaint: str
) -> None:
    assert complaint in refused("thumbnails", *arguments)


def test_a_folder_whose_name_is_no_text(server: Server, tmp_path: Path) -> None:
    to = tmp_path / "to \udcff"
    done = thumbnails(server.pictures[0], "--to", to, "--resume", tmp_path / "run.db")
    assert done.returncode == 0, done.stderr
    assert (to / "000.jpg").exists()


def test_what_cannot_be_read_had_or_imported_is_said(tmp_path: Path) -> None:
    missing = thumbnails(tmp_path / "none", "--to", tmp_path)
    assert (missing.returncode, "No such file" in missing.stderr) == (1, True)
    nobody = thumbnails("http://127.0.0.1:9/a.png", "--to", tmp_path / "out")
    assert nobody.returncode == 1
    assert "a.png: download: ConnectError" in nobody.stderr
    code = (
        "import aconcur.cli.thumbnails as t, aconcur.cli; t.find_spec = lambda name: None;"
        "aconcur.cli.main(['thumbnails', 'http://x/', '--to', 'x'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "aconcur: module httpx2 was not found: pip install 'aconcur[images]'\n"
    for said in (missing, nobody):
        assert "Traceback" not in said.stderr


def children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for file in tasks for child in file.read_text().split()]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_interrupted_or_killed_and_resumed(
    server: Server, tmp_path: Path, number: signal.Signals
) -> None:
    fine = [url for number, url in enumerate(server.pictures) if number not in bad(Kind.REFUSED)]
    to, journal = tmp_path / "thumbs", tmp_path / "run.db"
    arguments: list[str | Path] = ["--to", to, "--resume", journal]
    with started(*THUMBNAILS, *fine, server.pictures[13], *arguments, env=NO_PROXY) as process:
        assert process.stdout is not None
        for _ in range(10):
            process.stdout.readline()
        workers = children(process.pid)
        process.send_signal(number)
        _, errors = process.communicate(timeout=30)
        assert process.returncode == (130 if number is signal.SIGINT else -number)
        assert errors.rpartition("aconcur: ")[2] == (
            "interrupted\n" if number is signal.SIGINT else errors
        )
        until_sync(lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers))
    known = Journal(journal).statistics().done
    done = thumbnails(*fine, *arguments)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == len(fine) - known
    assert len([file for file in to.iterdir() if file.suffix != ".part"]) == len(fine)
    assert Journal(journal).statistics().done == len(fine)


@pytest.fixture(scope="module")
def same_name() -> Iterator[tuple[str, str]]:
    """Serve two pictures whose URLs end with the same name."""
    with answering(body=draw(0)) as (first, _), answering(body=draw(4)) as (second, _):
        yield first, second


@pytest.mark.parametrize("resumed", [False, True])
def test_a_name_that_another_picture_has_taken_is_not_taken_from_it(
    server: Server, same_name: tuple[str, str], tmp_path: Path, resumed: bool
) -> None:
    to, (first, second) = tmp_path / "out", same_name
    options: list[str | Path] = ["--to", to, *(("--resume", tmp_path / "db") if resumed else ())]
    to.mkdir()
    precious = to / "000.jpg"
    precious.write_text("not a picture of ours")
    for url in (first, second, server.pictures[0]):
        assert thumbnails(url, *options).returncode == 0
    assert precious.read_text() == "not a picture of ours"
    files = sorted(file.name for file in to.iterdir())
    assert [re.sub("-[0-9a-f]{12}", "-DIGEST", file) for file in files] == [
        "000-DIGEST.jpg",
        "000.jpg",
        "a-DIGEST.jpg",
        "a.jpg",
    ]

    before = {file: file.stat().st_mtime_ns for file in to.iterdir()}
    for url in (second, first):
        again = thumbnails(url, "--to", to)
        assert again.returncode == 0
        assert Path(again.stdout.rstrip()) in before
    assert {file: file.stat().st_mtime_ns for file in to.iterdir()} == before


def test_where_longer_names_are_taken_too_a_number_follows(tmp_path: Path) -> None:
    async def save(data: bytes) -> str:
        picture = Picture("http://h/cat.png", "cat", data, ".jpg")
        return Path(await Folder(tmp_path).save(picture)).name

    names = [anyio.run(save, str(number).encode()) for number in (0, 1, 2, 3, 2, 0)]
    assert [re.sub("-[0-9a-f]{12}", "-DIGEST", name) for name in names] == [
        "cat.jpg",
        "cat-DIGEST.jpg",
        "cat-DIGEST-2.jpg",
        "cat-DIGEST-3.jpg",
        "cat-DIGEST-2.jpg",
        "cat.jpg",
    ]
    assert (tmp_path / "cat.jpg").read_bytes() == b"0"
    assert len([*tmp_path.iterdir()]) == 4


def test_a_file_system_without_links_keeps_what_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link(*_: object) -> None:
        raise PermissionError("no links here")

    monkeypatch.setattr(os, "link", link)
    test_where_longer_names_are_taken_too_a_number_follows(tmp_path)


def test_an_upload_replaces_nothing(server: Server, same_name: tuple[str, str]) -> None:
    first, second = same_name
    to = f"{server.thumbnails}/once"
    for url, count in ((first, 1), (second, 2), (first, 2), (second, 2)):
        assert thumbnails(url, "--to", to).returncode == 0
        assert sum(name.startswith("once/") for name in server.uploaded()) == count


def test_the_same_words_in_another_folder_are_another_journal(
    server: Server, tmp_path: Path
) -> None:
    arguments = [server.pictures[0], "--to", "out", "--resume", str(tmp_path / "db")]
    for name in "ab":
        (tmp_path / name).mkdir()
    assert thumbnails(*arguments, cwd=tmp_path / "a").returncode == 0
    other = thumbnails(*arguments, cwd=tmp_path / "b")
    assert other.returncode == 1
    assert f"{tmp_path}/a/out', not for" in other.stderr


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be"])
@pytest.mark.parametrize("from_stdin", [False, True])
def test_a_list_may_begin_with_a_byte_order_mark(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str, from_stdin: bool
) -> None:
    text = "http://h/a.png\r\n# b\r\nhttp://h/é.png\r\n"
    mark = codecs.BOM_UTF16_BE if encoding == "utf-16-be" else b""
    file = tmp_path / "list.txt"
    file.write_bytes(mark + text.encode(encoding))
    with file.open() as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        urls = [*urls_of("-" if from_stdin else str(file))]
    assert urls == ["http://h/a.png", "http://h/é.png"]


# ------------------------------------------------------- servers that want pauses


class Answers(BaseHTTPRequestHandler):
    """Answers each request with the next status and Retry-After, then with 200."""

    first: ClassVar[list[tuple[int, str]]]
    body: ClassVar[bytes]
    times: ClassVar[list[float]]

    def do_GET(self) -> None:
        self.times.append(time.monotonic())
        status, after = self.first.pop(0) if self.first else (200, "")
        self.send_response(status)
        if after:
            self.send_header("Retry-After", after)
        body = self.body if status == 200 else b""
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with suppress(OSError):  # the client may have enough
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def answering(
    *first: tuple[int, str], body: bytes = b"picture"
) -> Iterator[tuple[str, list[float]]]:
    """Serve in a thread; yield a URL and the times of the requests."""
    times: list[float] = []
    handler = type("Handler", (Answers,), {"first": [*first], "body": body, "times": times})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/a.png", times
        finally:
            server.shutdown()


async def downloaded(*urls: str) -> list[bytes]:
    found: list[bytes] = []

    async def one(url: str) -> None:
        found.append((await network.download(Picture(url, "a"))).data)

    async with Network.open(8, 10) as network, anyio.create_task_group() as group:
        for url in urls:
            group.start_soon(one, url)
    return found


@pytest.mark.parametrize("status", [429, 503])
async def test_a_pause_that_a_server_asks_for_is_kept_by_all_requests(status: int) -> None:
    with answering((status, "1"), (200, "")) as (url, times):
        assert await downloaded(url) == [b"picture"]
        assert await downloaded(url, url, url) == [b"picture"] * 3
    assert times[1] - times[0] >= 1
    with answering((status, "1")) as (url, times):
        async with Network.open(8, 10) as network:
            with anyio.move_on_after(0.3):
                await network.download(Picture(url, "a"))
            await network.download(Picture(url, "a"))
    assert times[1] - times[0] >= 1


async def test_a_pause_may_end_with_a_date_and_come_again() -> None:
    past = "Wed, 21 Oct 2015 07:28:00 GMT"
    with answering(*[(429, past)] * 10) as (url, times):
        assert await downloaded(url) == [b"picture"]
        assert len(times) == 11
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)
    with answering((429, soon)) as (url, times):
        assert await downloaded(url) == [b"picture"]
    assert times[1] - times[0] > 0.5  # of 2 s, as the date has whole seconds


@pytest.mark.parametrize(
    ("answers", "complaint", "requests"),
    [
        ([(429, "3600")], "429 Too Many Requests: the server asks to wait 3600 s", 1),
        ([(503, "soon")], "503 Service Unavailable", 1),
        ([(404, "1")], "404 Not Found", 1),
        ([(429, "0")] * 99, "429 Too Many Requests", 20),
    ],
)
async def test_a_pause_that_is_too_long_or_comes_too_often_fails(
    answers: list[tuple[int, str]], complaint: str, requests: int
) -> None:
    with answering(*answers) as (url, times):
        async with Network.open(8, 10) as network:
            with pytest.raises(PictureError, match=f"^{complaint}$"):
                await network.download(Picture(url, "a"))
        assert len(times) == requests


async def test_a_picture_that_is_too_large_leaves_nothing_suspended() -> None:
    with answering(body=bytes(MAX_BYTES + 2**22)) as (url, _):
        async with Network.open(8, 10) as network:
            with pytest.raises(PictureError, match="more than 32 MB"):
                await network.download(Picture(url, "a"))
    gc.collect()  # would warn of async generators that were not closed


# ------------------------------------------------------------ one picture


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("a/b/cat.jpg", "cat"),
        ("cat", "cat"),
        ("Cat%20one.tar.gif?x=/../y.png#z/../w", "Cat_one.tar"),
        ("..%2f..%2Fetc%2Fpasswd", "passwd"),
        ("..%5C..%5Ccat.png", "cat"),
        ("%2e%2e%252f%252e%252e%252fcat.png", "_2f_2e_2e_2fcat"),
        (".bashrc.png", "bashrc"),
        ("-rf.png", "rf"),
        ("a%00b%0a%0dc.png", "a_b_c"),
        ("\u202egnp.exe", "_gnp"),
        ("x" * 300, "x" * 80),
        ("con%3A.png", "con_"),
    ],
)
def test_nothing_in_a_name_is_a_path(path: str, name: str) -> None:
    [picture] = named([f"http://h/{path}"])
    assert picture.name == name


@pytest.mark.parametrize("path", ["", "/", "..", "..%2f..", "%2e%2e/", "...", "___.png", "é.png"])
def test_where_no_name_is_left_there_is_one(path: str) -> None:
    [picture] = named([f"http://h/{path}"])
    assert picture.name.startswith("picture-")
    assert set(picture.name) <= set("picture-0123456789abcdef")


def test_names_are_different_and_do_not_depend_on_the_order() -> None:
    urls = ["http://h/1/a.png", "http://h/2/A.gif", "http://h/b.png", "http://h/b.png"]
    first, second = named(urls), named(reversed(urls))
    assert len(first) == len({picture.name.casefold() for picture in first}) == 3
    assert sorted(first, key=str) == sorted(second, key=str)
    assert {picture.name for picture in first if picture.url.endswith("b.png")} == {"b"}


def saved(image: Image.Image, kind: str, **options: object) -> Picture:
    file = BytesIO()
    image.save(file, kind, **options)
    return Picture("http://h/x", "x", file.getvalue())


def test_orientation_is_obeyed_and_what_the_file_says_is_dropped() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    exif[0x010E] = "a secret"
    small = shrink(saved(Image.new("RGB", (400, 200)), "JPEG", exif=exif), 100)
    with Image.open(BytesIO(small.data)) as image:
        assert (image.size, image.format) == ((50, 100), "JPEG")
        assert not image.getexif()
    assert b"secret" not in small.data


def test_a_small_one_does_not_grow_and_palettes_keep_their_holes() -> None:
    image = Image.new("P", (20, 10))
    small = shrink(saved(image, "GIF", transparency=0), 100)
    assert small.suffix == ".png"
    with Image.open(BytesIO(small.data)) as found:
        assert (found.size, found.mode) == ((20, 10), "RGBA")
        assert found.getpixel((0, 0)) == (0, 0, 0, 0) or found.getpixel((0, 0))[3] == 0  # type: ignore[index]


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (bomb, "144,000,000 pixels: refused, more than 50,000,000"),
        (bytes, "not a picture of a known kind"),
        (lambda: b"GIF89a", "picture"),
        (lambda: draw(0)[:400], "damaged picture"),
        (
            lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
            "not a picture of a known kind",
        ),
    ],
)
def test_what_is_refused(data: Callable[[], bytes], complaint: str) -> None:
    with pytest.raises(PictureError, match=complaint):
        shrink(Picture("http://h/x", "x", data()), 100)
