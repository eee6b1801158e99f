"""Download pictures, make them small in processes, PUT them: resumable, with live progress.

``python examples/thumbnails.py URLS THUMBNAILS [JOURNAL]``: URLS is a file with a URL a line,
THUMBNAILS is where to PUT to. Needs ``pip install 'aconcur[images,cli]'``. Run it again with the
same JOURNAL, after Ctrl-C or ``kill -9`` too, and it does what is left.

``aconcur thumbnails`` does the same, and keeps pictures in folders too; its errors say more.
"""

from __future__ import annotations

import hashlib
import re
import sys
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import anyio
import httpx2
from PIL import Image

from aconcur.parallel import open_pool
from aconcur.pipeline import Failure, Journal, PipelineReport, Retry, stage

MAX_BYTES, MAX_PIXELS, SIZE = 20_000_000, 50_000_000, (128, 128)


class Picture(NamedTuple):
    """A picture and where it came from."""

    url: str
    data: bytes


async def download(client: httpx2.AsyncClient, url: str) -> Picture:
    """Fetch a picture, if it is not too large."""
    async with client.stream("GET", url) as answer:
        answer.raise_for_status()
        data = b""
        async for chunk in answer.aiter_bytes():
            data += chunk
            if len(data) > MAX_BYTES:
                raise ValueError(f"more than {MAX_BYTES} bytes")
    return Picture(url, data)


def resize(picture: Picture) -> Picture:
    """Make a picture small, in a process. Its size is looked at before it is decoded."""
    with Image.open(BytesIO(picture.data), formats=("JPEG", "PNG", "WEBP", "GIF")) as image:
        if image.width * image.height > MAX_PIXELS:
            raise ValueError(f"{image.width} x {image.height} pixels: refused")
        image.thumbnail(SIZE)
        small = BytesIO()
        image.convert("RGB").save(small, "JPEG")
    return Picture(picture.url, small.getvalue())


async def upload(client: httpx2.AsyncClient, folder: str, picture: Picture) -> None:
    """PUT a picture, under a name in which nothing of a path is left."""
    last = re.sub(r"[^A-Za-z0-9]+", "-", urlsplit(picture.url).path)[-40:].strip("-")
    different = hashlib.sha256(picture.url.encode()).hexdigest()[:8]
    answer = await client.put(f"{folder}/{last}-{different}.jpg", content=picture.data)
    answer.raise_for_status()


async def main(urls: list[str], folder: str, journal: Journal | None) -> list[Failure]:
    """Make all thumbnails; return what failed."""
    failures: list[Failure] = []
    retry = Retry(3, backoff=0.1, on=(httpx2.HTTPError, TimeoutError))
    async with open_pool(2) as pool, httpx2.AsyncClient(trust_env=False, timeout=10) as client:
        thumbnails = (
            stage(
                partial(download, client),
                name="download",
                workers=16,
                timeout=2,
                retry=retry,
                on_error=failures.append,
            )
            .map(resize, workers=4, via=pool, on_error=failures.append)
            .map(
                partial(upload, client, folder),
                name="upload",
                workers=8,
                retry=retry,
                on_error=failures.append,
            )
        )
        report: PipelineReport = await thumbnails.run(urls, journal=journal, progress=True)
    print(report)
    return failures


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit("usage: python examples/thumbnails.py URLS THUMBNAILS [JOURNAL]")
    sources = Path(sys.argv[1]).read_text().split()
    book = Journal(sys.argv[3]) if len(sys.argv) > 3 else None
    for failure in anyio.run(main, sources, sys.argv[2], book):
        item = failure.item.url if isinstance(failure.item, Picture) else failure.item
        print(f"{item}: {failure.stage}: {failure.error!r}")
