"""Pictures from the network, made small: what ``aconcur thumbnails`` does with one of them.

Rule 1: what comes from the network is trusted in nothing: its size, its kind, its name.
Rule 2: a thumbnail is there whole or not at all.
"""

from __future__ import annotations

__all__ = (
    "MAX_BYTES",
    "MAX_PIXELS",
    "Folder",
    "Network",
    "Picture",
    "PictureError",
    "PleaseRetryError",
    "named",
    "shrink",
)

import hashlib
import os
import re
import warnings
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, final
from urllib.parse import quote, unquote, urlsplit

import anyio.to_thread

from aconcur.errors import AconcurError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx2
    from PIL.Image import Image

# Guesses at what is still a picture: 50 megapixels take 150 MB when decoded.
MAX_BYTES: Final = 32 * 2**20
MAX_PIXELS: Final = 50_000_000
_KINDS: Final = ("JPEG", "PNG", "WEBP", "GIF")
_LONGEST_NAME: Final = 80
# Answers after which the same request may have another one: RFC 9110, 15.5.9 and 15.6; RFC 6585, 4.
_AGAIN: Final = (408, 429, 500, 502, 503, 504)


class PictureError(AconcurError):
    """Raised when a picture cannot be had, or made small, or put where it belongs."""


class PleaseRetryError(PictureError):
    """Raised when the next attempt may go better."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture on its way."""

    url: str
    name: str
    """What it is to be called, without a suffix: safe in any folder, and no other one's."""
    data: bytes = b""
    suffix: str = ""


def named(urls: Iterable[str]) -> list[Picture]:
    """Give each picture a name, made of the last part of its URL's path.

    Of the name only letters, digits, ``.``, ``-`` and ``_`` stay, and no dot at its start: nothing
    in it is a path. Where several would have one name, each has a part of its URL's SHA-256 with
    it: so the name depends on the URLs, not on their order. A URL that comes twice is one picture.
    """
    unique = list(dict.fromkeys(urls))
    names = [_safe(url) for url in unique]
    used = Counter(name.casefold() for name in names)
    return [
        Picture(url, f"{name}-{_digest(url)}" if used[name.casefold()] > 1 else name)
        for url, name in zip(unique, names, strict=True)
    ]


def _safe(url: str) -> str:
    # A server may decode twice: what is left of ..%252f is harmless as well.
    last = unquote(urlsplit(url).path, errors="replace").replace("\\", "/").split("/")[-1]
    stem = last.rpartition(".")[0] or last
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", stem).lstrip(".-")[:_LONGEST_NAME]
    return name if name.strip("_.") else f"picture-{_digest(url)}"


def _digest(url: str) -> str:
    return hashlib.sha256(url.encode(errors="surrogatepass")).hexdigest()[:12]


# ------------------------------------------------------------------ network


@final
class Network:
    """Downloads and uploads, with one HTTP client; made by :meth:`open`."""

    def __init__(self, client: httpx2.AsyncClient) -> None:
        self._client = client

    @staticmethod
    @asynccontextmanager
    async def open(connections: int, timeout: float) -> AsyncIterator[Network]:
        """Open it for so many requests at once, each step of which may take so many seconds."""
        import httpx2

        limits = httpx2.Limits(max_connections=connections)
        async with httpx2.AsyncClient(
            timeout=timeout, limits=limits, follow_redirects=True, max_redirects=5
        ) as client:
            yield Network(client)

    async def download(self, picture: Picture) -> Picture:
        """Return the picture with its data.

        Raises:
            PictureError: there is none, or it is too large.
        """
        body = bytearray()
        with _plain_errors():
            async with self._client.stream("GET", picture.url) as answer:
                _check(answer)
                chunks = answer.aiter_bytes()
                assert isinstance(chunks, AsyncGenerator)
                async with aclosing(chunks):
                    async for chunk in chunks:
                        body += chunk
                        if len(body) > MAX_BYTES:
                            raise PictureError(f"more than {MAX_BYTES >> 20} MB")
        return replace(picture, data=bytes(body))

    async def upload(self, to: str, picture: Picture) -> str:
        """PUT the picture; return its URL."""
        url = f"{to.rstrip('/')}/{quote(picture.name + picture.suffix)}"
        kind = "image/png" if picture.suffix == ".png" else "image/jpeg"
        with _plain_errors():
            answer = await self._client.put(
                url, content=picture.data, headers={"Content-Type": kind}
            )
            _check(answer)
        return url


@contextmanager
def _plain_errors() -> Iterator[None]:
    """Turn the client's errors into ours."""
    import httpx2

    try:
        yield
    except (httpx2.InvalidURL, httpx2.UnsupportedProtocol, httpx2.TooManyRedirects) as error:
        raise PictureError(f"{type(error).__name__}: {error}") from error
    except httpx2.HTTPError as error:
        raise PleaseRetryError(f"{type(error).__name__}: {error}".removesuffix(": ")) from error


def _check(answer: httpx2.Response) -> None:
    if not answer.is_success:
        kind = PleaseRetryError if answer.status_code in _AGAIN else PictureError
        raise kind(f"{answer.status_code} {answer.reason_phrase}".rstrip())


# -------------------------------------------------------------------- disk


@final
class Folder:
    """Keeps thumbnails in a folder.

    Args:
        path: of the folder, which is made.

    Raises:
        OSError: it cannot be made.
    """

    def __init__(self, path: Path) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self._path = path

    async def save(self, picture: Picture) -> str:
        """Write the picture; return its path.

        **Cancelled**: waits until it is written.
        """
        return await anyio.to_thread.run_sync(partial(self._save, picture))

    def _save(self, picture: Picture) -> str:
        path = self._path / f"{picture.name}{picture.suffix}"
        part = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            part.write_bytes(picture.data)
            part.replace(path)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise PictureError(f"{path}: {error.strerror}") from error
        return str(path)


# ----------------------------------------------------------------- pictures


def shrink(picture: Picture, size: int) -> Picture:
    """Return the picture with its longer side at most ``size`` pixels long.

    Called in a process of its own. What is not opaque becomes a PNG, all else a JPEG; of a moving
    picture the first frame is taken; nothing that the file says of itself is kept, but its
    orientation is obeyed.

    Raises:
        PictureError: it is no picture of a kind that is known, or damaged, or has more than
            50 000 000 pixels: that is told from its head, and nothing of it is decoded.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            # Pillow's own warning for large ones: they are refused here.
            warnings.simplefilter("ignore")
            with Image.open(BytesIO(picture.data), formats=_KINDS) as image:
                pixels = image.width * image.height
                if pixels > MAX_PIXELS:
                    raise PictureError(f"{pixels:,} pixels: refused, more than {MAX_PIXELS:,}")
                data, suffix = _shrunk(image, size)
    except PictureError:
        raise
    except UnidentifiedImageError:
        # Pillow's own text holds an address in memory.
        raise PictureError(f"not a picture of a known kind ({', '.join(_KINDS)})") from None
    except Image.DecompressionBombError as error:
        raise PictureError(f"refused: {error}") from None
    except Exception as error:  # noqa: BLE001 - decoders raise anything
        raise PictureError(f"damaged picture: {error}") from None
    return replace(picture, data=data, suffix=suffix)


def _shrunk(image: Image, size: int) -> tuple[bytes, str]:
    from PIL import ImageOps

    image.draft("RGB", (size, size))
    opaque = not image.has_transparency_data
    small: Any = image.convert("RGB" if opaque else "RGBA")
    small = ImageOps.exif_transpose(small)
    small.thumbnail((size, size))
    small.info.clear()
    file = BytesIO()
    if opaque:
        small.save(file, "JPEG", quality=85)
        return file.getvalue(), ".jpg"
    small.save(file, "PNG")
    return file.getvalue(), ".png"
