"""The jobs of the pipeline, and the pictures it works on.

Rule 1: nothing here starts a thread or a task for a job.
Rule 2: a job that cannot do its item raises; what the text
says is the same from threads and from tasks.
Rule 3: data from the network is limited in size, and each
wait for it in time.

The picture server runs in a process of its own, so that it
does not take the GIL of the versions that are measured.
"""

from __future__ import annotations

__all__ = (
    "AsyncJobs",
    "Failure",
    "JobError",
    "Jobs",
    "Outcome",
    "Picture",
    "Served",
    "numbers",
    "outcome",
    "pictures",
    "resize",
    "same",
    "served",
    "summary",
)

import hashlib
import json
import random
import re
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import (
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from http import HTTPStatus
from http.server import (
    BaseHTTPRequestHandler,
    ThreadingHTTPServer,
)
from io import BytesIO
from pathlib import Path
from traceback import format_exception_only, print_exc
from typing import (
    TYPE_CHECKING,
    Any,
    NamedTuple,
    Self,
    TypeAlias,
    TypeVar,
)
from urllib.parse import unquote

import anyio

if TYPE_CHECKING:
    import httpx2

# 16 requests under way hide most of the server's delay;
# two threads that resize keep two cores busy.
DOWNLOADERS, RESIZERS, UPLOADERS = 8, 2, 8
# One item waiting for each worker of the widest stage.
BUFFER = 8
# Seconds that one connect, read or write may take.
TIMEOUT = 30.0
# A guess: larger input is taken for an attack. Both
# workers that resize hold at most 300 MB decoded.
MAX_BYTES = 16 * 2**20
MAX_PIXELS = 50_000_000
# The longer side of a resized picture, in pixels.
SIDE = 128
# Seconds that the server sleeps before each answer: a
# guess at the way to another data centre and back.
DELAY = 0.04

T = TypeVar("T")
Outcome: TypeAlias = tuple[str, str, str | None]
"""Name, "ok" or the error, SHA-256 of the data sent."""


class JobError(Exception):
    """A job cannot do its item; the text says why."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture on its way through the stages."""

    url: str
    data: bytes = b""

    @property
    def name(self) -> str:
        """The last part of the URL's path."""
        return re.split("[?#]", self.url)[0].split("/")[-1]


class Failure(NamedTuple):
    """The result for an item on which a stage failed."""

    item: Any
    """What the stage was given."""
    stage: str
    error: str

    @classmethod
    def of(
        cls, item: object, stage: str, error: BaseException
    ) -> Failure:
        """Say in words what went wrong."""
        if isinstance(error, JobError):
            return cls(item, stage, str(error))
        # Unlike str(), this survives a broken __str__.
        text = "".join(format_exception_only(error))
        return cls(item, stage, text.strip())


def outcome(result: Outcome | Failure) -> Outcome:
    """Return what became of one picture."""
    if isinstance(result, Failure):
        said = f"{result.stage}: {result.error}"
        return result.item.name, said, None
    return result


def uploaded(picture: Picture) -> Outcome:
    """Return the outcome of a picture that was sent."""
    digest = hashlib.sha256(picture.data).hexdigest()
    return picture.name, "ok", digest


# ---------------------------------------------- the jobs


class Jobs:
    """The jobs that wait for the network, for threads.

    One client serves all threads: httpx2's is thread-safe.

    Args:
        to: where to upload: to this + the picture's name.
    """

    def __init__(self, to: str) -> None:
        import httpx2

        self.to = to
        self.client = httpx2.Client(**client_options())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def download(self, picture: Picture) -> Picture:
        """Return the picture with its bytes.

        Raises:
            JobError: says the status or the kind of error.
        """
        data = self.ask("GET", picture.url)
        return replace(picture, data=data)

    def upload(self, picture: Picture) -> Outcome:
        """Put the picture's bytes where they belong.

        Raises:
            JobError: says the status or the kind of error.
        """
        url = self.to + picture.name
        self.ask("PUT", url, picture.data)
        return uploaded(picture)

    def ask(
        self, method: str, url: str, content: bytes = b""
    ) -> bytes:
        """Return the body of the answer."""
        body = bytearray()
        with (
            plain_errors(),
            self.client.stream(
                method, url, content=content
            ) as answer,
        ):
            check(answer)
            for chunk in answer.iter_bytes():
                add(chunk, body)
        return bytes(body)


class AsyncJobs:
    """The same jobs, for tasks: nothing here blocks."""

    def __init__(self, to: str) -> None:
        import httpx2

        self.to = to
        options = client_options()
        self.client = httpx2.AsyncClient(**options)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.aclose()

    async def download(self, picture: Picture) -> Picture:
        """Return the picture with its bytes.

        **Cancelled**: the connection is closed; one that
        was made that moment, by the garbage collector.

        Raises:
            JobError: says the status or the kind of error.
        """
        data = await self.ask("GET", picture.url)
        return replace(picture, data=data)

    async def upload(self, picture: Picture) -> Outcome:
        """Put the picture's bytes where they belong.

        **Cancelled**: as in `download`; the server keeps
        all of the picture or none of it.

        Raises:
            JobError: says the status or the kind of error.
        """
        url = self.to + picture.name
        await self.ask("PUT", url, picture.data)
        return uploaded(picture)

    async def ask(
        self, method: str, url: str, content: bytes = b""
    ) -> bytes:
        """Return the body of the answer."""
        body = bytearray()
        with plain_errors():
            async with self.client.stream(
                method, url, content=content
            ) as answer:
                check(answer)
                await receive(answer, body)
        return bytes(body)


def resize(picture: Picture) -> Picture:
    """Return the picture, at most SIDE pixels a side.

    About 3 ms of CPU for a JPEG of 640 x 480 pixels. Pillow
    releases the GIL while it decodes, scales and encodes:
    two threads can resize at once.

    Raises:
        JobError: the bytes are not a whole picture.
    """
    from PIL import Image, UnidentifiedImageError

    source, small = BytesIO(picture.data), BytesIO()
    formats = ("JPEG", "PNG")
    try:
        with Image.open(source, formats=formats) as image:
            if image.width * image.height > MAX_PIXELS:
                raise ValueError("too many pixels")
            image.thumbnail((SIDE, SIDE))
            image.save(small, image.format)
    except UnidentifiedImageError:
        # Pillow's own text holds an address in memory.
        raise JobError("not a JPEG or PNG") from None
    except Exception as error:  # Decoders raise anything.
        raise JobError(f"bad picture: {error}") from error
    return replace(picture, data=small.getvalue())


def same(item: T) -> T:
    """Do nothing: the cost of the queues is left."""
    return item


def client_options() -> dict[str, Any]:
    """Return what both kinds of client are made with."""
    import httpx2

    requests = DOWNLOADERS + UPLOADERS
    return {
        "timeout": httpx2.Timeout(TIMEOUT),
        "limits": httpx2.Limits(max_connections=requests),
        "verify": trusted(),
        # A proxy cannot reach a server on loopback.
        "trust_env": False,
    }


@cache
def trusted() -> ssl.SSLContext:
    """Load the certificates once: it takes about 50 ms."""
    return ssl.create_default_context()


@contextmanager
def plain_errors() -> Iterator[None]:
    """Turn httpx2's errors into a JobError that names them.

    The text of httpx2's error is left out: it is not the
    same in both clients.
    """
    import httpx2

    try:
        yield
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise JobError(type(error).__name__) from error


def check(answer: httpx2.Response) -> None:
    """Raise JobError if the answer is not a success."""
    if not answer.is_success:
        code = answer.status_code
        raise JobError(f"{code} {answer.reason_phrase}")


async def receive(
    answer: httpx2.Response, body: bytearray
) -> None:
    """Read to the end, or until it is too much.

    Leaving the loop early would leave the client's async
    generators in the middle, and `aclosing` reaches only
    the outermost. A cancellation from below ends them all.
    """
    too_much: JobError | None = None
    with anyio.CancelScope() as scope:
        async for chunk in answer.aiter_bytes():
            try:
                add(chunk, body)
            except JobError as error:
                too_much = error
                scope.cancel()
    if too_much is not None:
        raise too_much


def add(chunk: bytes, body: bytearray) -> None:
    """Add to the data received, up to MAX_BYTES."""
    if len(body) + len(chunk) > MAX_BYTES:
        raise JobError(f"more than {MAX_BYTES} bytes")
    body += chunk


# -------------------------------------------- the inputs


@contextmanager
def pictures(
    size: int, seed: int
) -> Iterator[tuple[list[str], str]]:
    """Serve pictures; yield their URLs and where to upload.

    Of ten pictures three are bad: one is missing (404), one
    is cut short, one is a text.
    """
    # Here, so that no run is charged with the loading.
    resize(Picture("", draw(random.Random(seed), "png")))
    with Jobs(""), served(size, seed, DELAY) as at:
        urls = [at.pictures + name for name in names(size)]
        yield urls, at.thumbnails


@contextmanager
def numbers(
    size: int, seed: int
) -> Iterator[tuple[list[int]]]:
    """Yield numbers in an order that the seed decides."""
    yield (random.Random(seed).sample(range(size), size),)


def names(size: int) -> list[str]:
    """Return the names of the first ``size`` pictures."""
    return [
        f"{n:05}.{'png' if n % 5 == 1 else 'jpg'}"
        for n in range(size)
    ]


def summary(outcomes: Sequence[Outcome]) -> str:
    """Say in a few lines what became of the pictures."""
    failed = [each for each in outcomes if each[1] != "ok"]
    lines = [
        f"  {name}  {said}" for name, said, _ in failed
    ]
    sent = len(outcomes) - len(failed)
    counts = f"{sent} uploaded, {len(failed)} failed"
    return "\n".join([counts, *lines])


# -------------------------------------------- the server


class Served(NamedTuple):
    """Where a picture server can be found."""

    pictures: str
    """URL of the folder to download from."""
    thumbnails: str
    """URL of the folder to upload to."""
    folder: Path
    """Holds what was uploaded, as long as it is served."""


@contextmanager
def served(
    size: int, seed: int, delay: float
) -> Iterator[Served]:
    """Run a picture server, in its own process.

    The server's stdin is its life line: it ends when that
    is closed, so also when this process is killed.

    Args:
        size: how many pictures it has.
        seed: decides what they show.
        delay: seconds that it sleeps before each answer.
    """
    command = [sys.executable, "-m", __name__]
    arguments = [str(size), str(seed), str(delay)]
    with subprocess.Popen(
        [*command, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        # Its own group: Ctrl-C is not for the server.
        process_group=0,
    ) as server:
        assert server.stdin
        assert server.stdout
        try:
            ready = server.stdout.readline()
            if not ready:
                raise RuntimeError(
                    "the picture server did not start: "
                    "read what it says above"
                )
            base, folder = json.loads(ready)
            yield Served(
                f"{base}/pictures/",
                f"{base}/thumbnails/",
                Path(folder),
            )
        finally:
            server.stdin.close()
            end(server)


def end(server: subprocess.Popen[bytes]) -> None:
    """Wait for the server to end; at last, kill it."""
    try:
        server.wait(10)
    except subprocess.TimeoutExpired:
        server.kill()


class Server(ThreadingHTTPServer):
    """Serves pictures and receives some into a folder."""

    daemon_threads = True
    # The default of 5 makes the sixth connection wait.
    request_queue_size = 128

    def __init__(
        self,
        pictures: Mapping[str, bytes],
        folder: Path,
        delay: float,
    ) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.pictures, self.folder = pictures, folder
        self.delay = delay
        self.writing = threading.Lock()

    def handle_error(self, *_: object) -> None:
        """Ignore a client that went away; show the rest."""
        if not isinstance(sys.exception(), OSError):
            print_exc()

    def save(self, name: str, data: bytes) -> None:
        """Write a file: it is there whole or not at all."""
        with self.writing:
            part = self.folder / ".part"
            part.write_bytes(data)
            part.replace(self.folder / name)


LEGAL_UPLOAD = re.compile(
    "/thumbnails/(?P<name>[A-Za-z0-9][A-Za-z0-9.-]{0,99})"
)


class Handler(BaseHTTPRequestHandler):
    """Answers the requests of one connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 60
    server: Server

    def do_GET(self) -> None:
        """Send a picture."""
        name = self.path.removeprefix("/pictures/")
        if data := self.server.pictures.get(name):
            self.answer(HTTPStatus.OK, data)
        else:
            self.answer(HTTPStatus.NOT_FOUND)

    def do_PUT(self) -> None:
        """Receive a picture, all of it or nothing."""
        length = self.headers.get("Content-Length", "")
        if not re.fullmatch("[0-9]{1,20}", length):
            self.refuse(HTTPStatus.LENGTH_REQUIRED)
            return
        if int(length) > MAX_BYTES:
            self.refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            return
        data = self.rfile.read(int(length))
        to = LEGAL_UPLOAD.fullmatch(unquote(self.path))
        if len(data) < int(length):
            self.close_connection = True
        elif to is None:
            self.answer(HTTPStatus.BAD_REQUEST)
        else:
            self.server.save(to["name"], data)
            self.answer(HTTPStatus.CREATED)

    def refuse(self, status: HTTPStatus) -> None:
        """Answer without reading what the client sends."""
        self.close_connection = True
        self.answer(status)

    def answer(
        self, status: HTTPStatus, body: bytes = b""
    ) -> None:
        """Send the whole answer, after the delay."""
        time.sleep(self.server.delay)
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def serve(size: int, seed: int, delay: float) -> None:
    """Serve until stdin is closed."""
    pictures = dict(drawn(size, seed))
    with tempfile.TemporaryDirectory() as folder:
        server = Server(pictures, Path(folder), delay)
        threading.Thread(
            target=server.serve_forever, daemon=True
        ).start()
        base = f"http://127.0.0.1:{server.server_port}"
        print(json.dumps([base, folder]), flush=True)
        sys.stdin.buffer.read()
        # Held to the end: no file comes while all go.
        server.writing.acquire()


def drawn(
    size: int, seed: int
) -> Iterator[tuple[str, bytes]]:
    """Draw the pictures that are there, good and bad.

    From the twenty-first on they are the same again, so
    that the server starts soon.
    """
    chance = random.Random(seed)
    drawings = [
        draw(chance, name) for name in names(min(size, 20))
    ]
    for number, name in enumerate(names(size)):
        data = drawings[number % 20]
        match number % 10:
            case 3:
                continue
            case 6:
                yield name, data[: len(data) // 2]
            case 8:
                yield name, b"This is not a picture.\n"
            case _:
                yield name, data


def draw(chance: random.Random, name: str) -> bytes:
    """Draw one picture of 640 x 480 pixels."""
    from PIL import Image, ImageDraw

    def colour() -> tuple[int, int, int]:
        red, green, blue = chance.randbytes(3)
        return red, green, blue

    image = Image.new("RGB", (640, 480), colour())
    pen = ImageDraw.Draw(image)
    for _ in range(20):
        x, y = chance.randrange(640), chance.randrange(480)
        pen.circle((x, y), chance.randrange(150), colour())
    file = BytesIO()
    png = name.endswith("png")
    image.save(file, "PNG" if png else "JPEG")
    return file.getvalue()


if __name__ == "__main__":
    serve(
        int(sys.argv[1]),
        int(sys.argv[2]),
        float(sys.argv[3]),
    )
