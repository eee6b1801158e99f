"""The whole pipeline of pictures, over HTTP."""

from __future__ import annotations

from io import BytesIO

import pytest
from PIL import Image

from aconcur.lessons.item39_queue import work
from aconcur.lessons.item39_queue.work import Outcome, Picture, Served
from tests.support.item39 import (
    Call,
    answering,
    picture,
    thumbnails,
    unused_url,
    urls_of,
)

LESSON = "item39_queue"
pytestmark = pytest.mark.timeout(60)


@pytest.mark.entry("pipeline")
async def test_good_pictures_arrive_and_bad_ones_are_named(call: Call, at: Served) -> None:
    outcomes = await call(urls_of(at), at.thumbnails)
    assert [name for name, _, _ in outcomes] == work.names(10)
    said = {name: text for name, text, _ in outcomes if text != "ok"}
    assert said == {
        "00003.jpg": "download: 404 Not Found",
        "00006.png": "resize: bad picture: image file is truncated",
        "00008.jpg": "resize: not a JPEG or PNG",
    }
    digests = {name: digest for name, text, digest in outcomes if text == "ok"}
    assert {n: work.uploaded(Picture(n, d))[2] for n, d in thumbnails(at).items()} == digests
    for name, data in thumbnails(at).items():
        with Image.open(BytesIO(data)) as image:
            image.load()
            assert image.size == (128, 96)
            assert image.format == ("PNG" if name.endswith("png") else "JPEG")


@pytest.mark.entry("pipeline")
async def test_no_pictures(call: Call, at: Served) -> None:
    assert await call([], at.thumbnails) == []


@pytest.mark.entry("pipeline")
async def test_one_picture(call: Call, at: Served) -> None:
    [(name, said, _)] = await call(urls_of(at, 1), at.thumbnails)
    assert (name, said) == ("00000.jpg", "ok")
    assert list(thumbnails(at)) == [name]


@pytest.mark.entry("pipeline")
async def test_more_pictures_than_workers_and_buffers_hold(call: Call, at: Served) -> None:
    urls = urls_of(at, 1) * 45
    outcomes = await call(urls, at.thumbnails)
    assert len(outcomes) == 45
    assert len(set(outcomes)) == 1


@pytest.mark.entry("pipeline")
async def test_more_failures_than_workers(call: Call, at: Served) -> None:
    missing = [f"{at.pictures}missing-{n:03}.jpg" for n in range(45)]
    outcomes = await call(missing, at.thumbnails)
    assert [said for _, said, _ in outcomes] == ["download: 404 Not Found"] * 45


@pytest.mark.entry("pipeline")
@pytest.mark.parametrize(
    ("url", "outcome"),
    [
        ("", ("", "download: UnsupportedProtocol", None)),
        ("no url", ("no url", "download: UnsupportedProtocol", None)),
        ("ftp://127.0.0.1/a.jpg", ("a.jpg", "download: UnsupportedProtocol", None)),
        ("http://host:port/a.jpg", ("a.jpg", "download: InvalidURL", None)),
    ],
)
async def test_a_url_that_is_none(call: Call, at: Served, url: str, outcome: Outcome) -> None:
    first, *rest = sorted(
        await call([url, *urls_of(at, 1)], at.thumbnails), key=lambda o: o[2] or ""
    )
    assert first == outcome
    assert [said for _, said, _ in rest] == ["ok"]


@pytest.mark.entry("pipeline")
async def test_a_name_that_the_server_refuses(call: Call, at: Served) -> None:
    data = picture()
    with answering(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(data) + data) as base:
        [outcome] = await call([f"{base}..%2F..%2Fstolen.jpg"], at.thumbnails)
    assert outcome == ("..%2F..%2Fstolen.jpg", "upload: 400 Bad Request", None)
    assert thumbnails(at) == {}


@pytest.mark.entry("pipeline")
async def test_an_upload_that_the_server_refuses(call: Call, at: Served) -> None:
    [outcome] = await call(urls_of(at, 1), at.pictures)
    assert outcome == ("00000.jpg", "upload: 400 Bad Request", None)


@pytest.mark.entry("pipeline")
async def test_no_server_to_download_from(call: Call, at: Served) -> None:
    urls = [f"{unused_url()}{n}.jpg" for n in range(30)]
    outcomes = await call(urls, at.thumbnails)
    assert [said for _, said, _ in outcomes] == ["download: ConnectError"] * 30


@pytest.mark.entry("pipeline")
async def test_no_server_to_upload_to(call: Call, at: Served) -> None:
    [outcome] = await call(urls_of(at, 1), unused_url())
    assert outcome == ("00000.jpg", "upload: ConnectError", None)


@pytest.mark.entry("pipeline")
@pytest.mark.parametrize(
    "answer",
    [b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nonly this", b"nonsense\r\n\r\n"],
    ids=["cut short", "no HTTP"],
)
async def test_a_broken_answer(call: Call, at: Served, answer: bytes) -> None:
    with answering(answer) as base:
        [outcome] = await call([f"{base}a.jpg"], at.thumbnails)
    assert outcome == ("a.jpg", "download: RemoteProtocolError", None)


@pytest.mark.entry("pipeline")
async def test_a_server_that_never_answers(
    call: Call, at: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Long enough to connect on a busy machine.
    monkeypatch.setattr(work, "TIMEOUT", 0.5)
    with answering(b"") as base:
        outcomes = await call([f"{base}a.jpg", f"{base}b.jpg"], at.thumbnails)
    assert [said for _, said, _ in outcomes] == ["download: ReadTimeout"] * 2


@pytest.mark.entry("pipeline")
async def test_an_answer_that_is_too_large(
    call: Call, at: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work, "MAX_BYTES", 1000)
    [outcome] = await call(urls_of(at, 1), at.thumbnails)
    assert outcome == ("00000.jpg", "download: more than 1000 bytes", None)


@pytest.mark.entry("pipeline")
async def test_an_answer_that_does_not_end(
    call: Call, at: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work, "MAX_BYTES", 1_000_000)
    with answering(b"HTTP/1.1 200 OK\r\n\r\n" + bytes(4_000_000)) as base:
        [outcome] = await call([f"{base}a.jpg"], at.thumbnails)
    assert outcome == ("a.jpg", "download: more than 1000000 bytes", None)


@pytest.mark.entry("pipeline")
async def test_too_many_pixels(call: Call, at: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "MAX_PIXELS", 640 * 480 - 1)
    [outcome] = await call(urls_of(at, 1), at.thumbnails)
    assert outcome == ("00000.jpg", "resize: bad picture: too many pixels", None)
