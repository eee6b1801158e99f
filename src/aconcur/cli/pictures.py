"""Pictures from the network, made small: what ``aconcur thumbnails`` does with one of them.

Rule 1: nothing that comes from the network is trusted: not its size, its kind or its name.
Rule 2: a thumbnail is there whole or not at all.
Rule 3: no file is ever replaced. A name that another picture has taken is taken by a file with
other content, so the thumbnail gets another name. A thumbnail that lies there already, byte for
byte, is left as it is: a repeated call writes nothing.
Rule 4: a server that asks for a pause (Retry-After) gets it, from all workers.
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
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from io import BytesIO
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any, Final, TypeVar, final
from urllib.parse import quote, unquote, urlsplit

import anyio
import anyio.to_thread

from aconcur.errors import AconcurError

if TYPE_CHECKING:
    import httpx2
    from PIL.Image import Image

T = TypeVar("T")
# Guesses at the largest real picture: 50 megapixels take 150 MB when decoded.
MAX_BYTES: Final = 32 * 2**20
MAX_PIXELS: Final = 50_000_000
_KINDS: Final = ("JPEG", "PNG", "WEBP", "GIF")
_LONGEST_NAME: Final = 80
# Answers after which the same request may succeed: RFC 9110, 15.5.9 and 15.6; RFC 6585, 4.
_AGAIN: Final = (408, 429, 500, 502, 503, 504)
# Seconds that a server may ask us to wait, and how often for one picture. Guesses: a server that
# asks for more fails the picture, which a later call can try again.
_LONGEST_PAUSE: Final = 120.0
_MOST_PAUSES: Final = 20
# Names that are tried for one picture. A guess: the picture behind a URL seldom changes so often.
_MOST_NAMES: Final = 100


class PictureError(AconcurError):
    """Raised when a picture cannot be downloaded, shrunk or stored."""


class PleaseRetryError(PictureError):
    """Raised when another attempt may succeed."""


class _PauseError(PleaseRetryError):
    """Raised when the server asks to be left alone for a while.

    Args:
        text: the error's text.
        seconds: that it asks for.
    """

    def __init__(self, text: str, seconds: float) -> None:
        super().__init__(text)
        self.seconds = seconds


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture on its way."""

    url: str
    name: str
    """Its file name without a suffix: safe in any folder, and unlike all others of the call."""
    data: bytes = b""
    suffix: str = ""


def named(urls: Iterable[str]) -> list[Picture]:
    """Give each picture a name, made of the last part of its URL's path.

    Only letters, digits, ``.``, ``-`` and ``_`` are kept, and no leading dot, so a name is never a
    path. If several pictures would have the same name, a part of the URL's SHA-256 is appended to
    each: so the names depend on the URLs, not on their order. A URL that comes twice is one
    picture.
    """
    unique = list(dict.fromkeys(urls))
    names = [_safe(url) for url in unique]
    used = Counter(name.casefold() for name in names)
    return [
        Picture(url, f"{name}-{_digest(url)}" if used[name.casefold()] > 1 else name)
        for url, name in zip(unique, names, strict=True)
    ]


def _safe(url: str) -> str:
    # A server may decode twice: the rest of ..%252f is harmless too.
    last = unquote(urlsplit(url).path, errors="replace").replace("\\", "/").split("/")[-1]
    stem = last.rpartition(".")[0] or last
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", stem).lstrip(".-")[:_LONGEST_NAME]
    return name if name.strip("_.") else f"picture-{_digest(url)}"


def _digest(url: str) -> str:
    return hashlib.sha256(url.encode(errors="surrogatepass")).hexdigest()[:12]


def _free_names(picture: Picture) -> Iterator[str]:
    """Yield file names for the picture, the best first, to be used if it is not taken."""
    yield picture.name + picture.suffix
    name, digest = picture.name, _digest(picture.url)
    if not name.endswith(digest):
        name = f"{name}-{digest}"
        yield name + picture.suffix
    for number in range(2, _MOST_NAMES):
        yield f"{name}-{number}{picture.suffix}"


def _all_taken(where: str, picture: Picture) -> PictureError:
    return PictureError(
        f"{where} has {_MOST_NAMES} other pictures of the name {picture.name}: use another folder"
    )


# ------------------------------------------------------------------ network


@final
class Network:
    """Downloads and uploads, with one HTTP client; made by :meth:`open`."""

    def __init__(self, client: httpx2.AsyncClient, timeout: float) -> None:
        self._client, self._timeout = client, timeout
        # When each host may be asked again.
        self._welcome: dict[str, float] = {}

    @staticmethod
    @asynccontextmanager
    async def open(connections: int, timeout: float) -> AsyncIterator[Network]:
        """Open a client.

        Args:
            connections: how many requests may be under way at once.
            timeout: seconds for one attempt at a download, and for each step of an upload.
        """
        import httpx2

        limits = httpx2.Limits(max_connections=connections)
        async with httpx2.AsyncClient(
            timeout=timeout, limits=limits, follow_redirects=True, max_redirects=5
        ) as client:
            yield Network(client, timeout)

    async def download(self, picture: Picture) -> Picture:
        """Return the picture with its data.

        Raises:
            PleaseRetryError: the server did not answer in time, or is overloaded.
            PictureError: the server refuses, or the picture is too large.
        """
        data = await self._politely(picture.url, partial(self._download, picture.url))
        return replace(picture, data=data)

    async def _download(self, url: str) -> bytes:
        body = bytearray()
        with _plain_errors(), anyio.move_on_after(self._timeout) as limit:
            async with self._client.stream("GET", url) as answer:
                _check(answer)
                # Leaving the loop early would leave the client's generators suspended, for the
                # garbage collector to close. A cancelled read ends them all.
                async for chunk in answer.aiter_bytes():
                    body += chunk
                    if len(body) > MAX_BYTES:
                        limit.cancel()
        if len(body) > MAX_BYTES:
            raise PictureError(f"more than {MAX_BYTES >> 20} MB")
        if limit.cancelled_caught:
            raise PleaseRetryError(f"no result after {self._timeout} s")
        return bytes(body)

    async def upload(self, to: str, picture: Picture) -> str:
        """PUT the picture under a name that is free; return its URL.

        ``If-None-Match: *`` asks the server not to replace anything (RFC 9110, 13.1.2).
        """
        for name in _free_names(picture):
            url = f"{to.rstrip('/')}/{quote(name)}"
            if await self._politely(url, partial(self._upload, url, picture)):
                return url
        raise _all_taken(to, picture)

    async def _upload(self, url: str, picture: Picture) -> bool:
        """Return whether the picture lies there, and no other one did."""
        kind = "image/png" if picture.suffix == ".png" else "image/jpeg"
        with _plain_errors():
            headers = {"Content-Type": kind, "If-None-Match": "*"}
            answer = await self._client.put(url, content=picture.data, headers=headers)
            if answer.status_code == 412:  # the name is taken
                taken = await self._client.get(url)
                return bool(taken.is_success and taken.content == picture.data)
            _check(answer)
        return True

    async def _politely(self, url: str, request: Callable[[], Awaitable[T]]) -> T:
        """Make a request again each time that the server asks for a pause.

        The pause is the host's: other requests to it wait too. It is not a part of the timeout.
        """
        host = urlsplit(url).netloc
        for attempt in range(_MOST_PAUSES):
            # Another request may make the pause longer meanwhile.
            while (welcome := self._welcome.get(host, 0.0)) > anyio.current_time():  # noqa: ASYNC110
                await anyio.sleep_until(welcome)
            try:
                return await request()
            except _PauseError as error:
                if error.seconds > _LONGEST_PAUSE:
                    raise PictureError(
                        f"{error}: the server asks to wait {error.seconds:.0f} s"
                    ) from None
                if attempt == _MOST_PAUSES - 1:
                    raise
                until = anyio.current_time() + error.seconds
                self._welcome[host] = max(self._welcome.get(host, 0.0), until)
        raise AssertionError  # the loop returns or raises


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
    if answer.is_success:
        return
    text = f"{answer.status_code} {answer.reason_phrase}".rstrip()
    if answer.status_code not in _AGAIN:
        raise PictureError(text)
    if (seconds := _retry_after(answer.headers.get("Retry-After", ""))) is not None:
        raise _PauseError(text, seconds)
    raise PleaseRetryError(text)


def _retry_after(value: str) -> float | None:
    """Return the seconds that a Retry-After header asks for; None if it says nothing.

    It holds seconds or a date: RFC 9110, 10.2.3.
    """
    if value.strip().isdecimal():
        return float(value)
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, (date - datetime.now(date.tzinfo and UTC)).total_seconds())


# -------------------------------------------------------------------- disk


@final
class Folder:
    """Keeps thumbnails in a folder.

    Args:
        path: of the folder, which is created.

    Raises:
        OSError: it cannot be created.
    """

    def __init__(self, path: Path) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self._path = path

    async def save(self, picture: Picture) -> str:
        """Write the picture under a name that is free; return its path.

        **Cancelled**: waits until it is written.
        """
        return await anyio.to_thread.run_sync(partial(self._save, picture))

    def _save(self, picture: Picture) -> str:
        part = self._path / f".{picture.name}.{token_hex(4)}.part"
        try:
            part.write_bytes(picture.data)
            for name in _free_names(picture):
                path = self._path / name
                if _put(part, path) or _holds(path, picture.data):
                    return str(path)
        except OSError as error:
            raise PictureError(f"{error.filename2 or error.filename}: {error.strerror}") from error
        finally:
            with suppress(OSError):
                part.unlink(missing_ok=True)
        raise _all_taken(str(self._path), picture)


def _put(part: Path, path: Path) -> bool:
    """Give a complete file its name, in one step; return False if the name is taken."""
    try:
        os.link(part, path)
    except FileExistsError:
        return False
    except OSError:
        # A file system without hard links. Here two processes may choose one name at once.
        if path.exists():
            return False
        part.rename(path)
    return True


def _holds(path: Path, data: bytes) -> bool:
    try:
        return path.read_bytes() == data
    except OSError:  # a folder, or not ours to read
        return False


# ----------------------------------------------------------------- pictures


def shrink(picture: Picture, size: int) -> Picture:
    """Return the picture with its longer side at most ``size`` pixels long.

    Called in a worker process. A picture with transparency becomes a PNG, any other a JPEG. Of an
    animation the first frame is taken. The orientation is applied; all other metadata is dropped.

    Raises:
        PictureError: the format is unknown, the file is damaged, or it has more than 50 000 000
            pixels, which its header tells before anything is decoded.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            # Pillow warns of large pictures: here they are refused.
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
