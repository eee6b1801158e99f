"""What ``aconcur thumbnails`` does with one picture: download, shrink, write or upload it.

Rule 1: nothing from the network is trusted: not its size, not its kind, not its name.
Rule 2: a thumbnail is written whole or not at all.
Rule 3: a file is replaced only if it is a thumbnail of the same URL. A mark in the file says so: a
part of the URL's SHA-256, in the comment of a JPEG and a text chunk of a PNG.
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
    "retry_after",
    "shrink",
)

import hashlib
import re
import warnings
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, final
from urllib.parse import quote, unquote, urlsplit

import anyio.to_thread

from aconcur._core.atomic_file import replace_file
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
# The longest Retry-After, in seconds, that is waited for.
_LONGEST_PAUSE: Final = 120.0
# Answers after which the same request may have another one: RFC 9110, 15.5.9 and 15.6; RFC 6585, 4.
_AGAIN: Final = (408, 429, 500, 502, 503, 504)


class PictureError(AconcurError):
    """Raised when a picture cannot be downloaded, shrunk or stored."""


class PleaseRetryError(PictureError):
    """Raised when another attempt may succeed."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture on its way through the stages."""

    url: str
    name: str
    """The file name without a suffix: safe in any folder, and unique in the call."""
    data: bytes = b""
    suffix: str = ""


def named(urls: Iterable[str]) -> list[Picture]:
    """Give each picture a name, made of the last part of its URL's path.

    Only letters, digits, ``.``, ``-`` and ``_`` are kept, and no dot at the start, so the name is
    never a path. Pictures that would have the same name get a part of their URL's SHA-256, so a
    name depends on the URLs and not on their order. A URL that comes twice is one picture.
    """
    unique = list(dict.fromkeys(urls))
    names = [_safe(url) for url in unique]
    used = Counter(name.casefold() for name in names)
    return [
        Picture(url, f"{name}-{_digest(url)}" if used[name.casefold()] > 1 else name)
        for url, name in zip(unique, names, strict=True)
    ]


def _safe(url: str) -> str:
    # A server may decode twice: the rest of ..%252f is harmless as well.
    last = unquote(urlsplit(url).path, errors="replace").replace("\\", "/").split("/")[-1]
    stem = last.rpartition(".")[0] or last
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", stem).lstrip(".-")[:_LONGEST_NAME]
    return name if name.strip("_.") else f"picture-{_digest(url)}"


def _digest(url: str) -> str:
    return hashlib.sha256(url.encode(errors="surrogatepass")).hexdigest()[:12]


# ------------------------------------------------------------------ network


@final
class Network:
    """Downloads and uploads, with one HTTP client; made by :meth:`open`.

    A host that answers with Retry-After is left alone for that time (RFC 9110, 10.2.3): by every
    request, because the limit is the host's and not the picture's.
    """

    def __init__(self, client: httpx2.AsyncClient, timeout: float) -> None:
        self._client, self._timeout = client, timeout
        self._not_before: dict[str, float] = {}

    @staticmethod
    @asynccontextmanager
    async def open(connections: int, timeout: float) -> AsyncIterator[Network]:
        """Open it for this many requests at once, each of which may take this many seconds."""
        import httpx2

        limits = httpx2.Limits(max_connections=connections)
        async with httpx2.AsyncClient(
            timeout=timeout, limits=limits, follow_redirects=True, max_redirects=5
        ) as client:
            yield Network(client, timeout)

    async def download(self, picture: Picture) -> Picture:
        """Return the picture with its data.

        Raises:
            PictureError: it does not exist, or is too large.
        """
        body = bytearray()
        async with (
            self._request(picture.url),
            self._client.stream("GET", picture.url) as answer,
        ):
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
        async with self._request(url):
            answer = await self._client.put(
                url, content=picture.data, headers={"Content-Type": kind}
            )
            _check(answer)
        return url

    @asynccontextmanager
    async def _request(self, url: str) -> AsyncIterator[None]:
        """Wait until the host may be asked again; then limit the time of the block."""
        host = urlsplit(url).netloc
        # Once: a host that asks for another pause meanwhile says so again.
        await anyio.sleep(max(0.0, self._not_before.get(host, 0.0) - anyio.current_time()))
        try:
            with _plain_errors(), anyio.fail_after(self._timeout):
                yield
        except TimeoutError:
            raise PleaseRetryError(f"no result after {self._timeout} s") from None
        except _TryLaterError as error:
            self._not_before[host] = anyio.current_time() + error.seconds
            raise


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


class _TryLaterError(PleaseRetryError):
    """Raised when the host says how long to wait before another attempt."""

    def __init__(self, text: str, seconds: float) -> None:
        super().__init__(text)
        self.seconds = seconds


def _check(answer: httpx2.Response) -> None:
    if answer.is_success:
        return
    said = f"{answer.status_code} {answer.reason_phrase}".rstrip()
    if answer.status_code not in _AGAIN:
        raise PictureError(said)
    seconds = retry_after(answer.headers.get("Retry-After", ""))
    if seconds is None:
        raise PleaseRetryError(said)
    if seconds > _LONGEST_PAUSE:
        raise PictureError(f"{said}, retry after {seconds:.0f} s: too long to wait")
    raise _TryLaterError(said, seconds)


def retry_after(header: str) -> float | None:
    """Return the seconds that a Retry-After header asks to wait; None if it does not say.

    Source: RFC 9110, section 10.2.3: a number of seconds, or a date.
    """
    if header.strip().isdecimal():
        return float(header)
    try:
        date = parsedate_to_datetime(header)
    except ValueError:
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return max(0.0, (date - datetime.now(UTC)).total_seconds())


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
        if not _may_be_replaced(path, picture.url):
            path = self._path / f"{picture.name}-{_digest(picture.url)}{picture.suffix}"
        if not _may_be_replaced(path, picture.url):
            raise PictureError(f"{path} exists and is not a thumbnail of this URL")
        try:
            with replace_file(path) as file:
                file.write(picture.data)
        except OSError as error:
            raise PictureError(f"{path}: {error.strerror}") from error
        return str(path)


def _may_be_replaced(path: Path, url: str) -> bool:
    """Return whether nothing is lost by writing there: no file, or a thumbnail of the same URL."""
    from PIL import Image

    if not path.exists():
        return True
    try:
        with Image.open(path, formats=("JPEG", "PNG")) as image:
            mark = image.info.get("comment", image.info.get("Comment", b""))
    except (OSError, Image.DecompressionBombError):
        return False
    return bool(mark in (_mark(url), _mark(url).decode()))


def _mark(url: str) -> bytes:
    return f"aconcur {_digest(url)}".encode()


# ----------------------------------------------------------------- pictures


def shrink(picture: Picture, size: int) -> Picture:
    """Return the picture with its longer side at most ``size`` pixels long.

    Called in a worker process. A picture with transparency becomes a PNG, any other a JPEG; of an
    animation the first frame is taken. Its orientation is applied, and all other metadata dropped;
    the thumbnail has a mark that tells which URL it was made of, but not the URL.

    Raises:
        PictureError: it is not a picture of a known kind, or is damaged, or has more than
            50 000 000 pixels (the header says so, and nothing is decoded).
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
                data, suffix = _shrunk(image, size, _mark(picture.url))
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


def _shrunk(image: Image, size: int, mark: bytes) -> tuple[bytes, str]:
    from PIL import ImageOps
    from PIL.PngImagePlugin import PngInfo

    image.draft("RGB", (size, size))
    opaque = not image.has_transparency_data
    small: Any = image.convert("RGB" if opaque else "RGBA")
    small = ImageOps.exif_transpose(small)
    small.thumbnail((size, size))
    small.info.clear()
    file = BytesIO()
    if opaque:
        small.save(file, "JPEG", quality=85, comment=mark)
        return file.getvalue(), ".jpg"
    text = PngInfo()
    text.add_text("Comment", mark.decode())
    small.save(file, "PNG", pnginfo=text)
    return file.getvalue(), ".png"
