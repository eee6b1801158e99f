"""A real HTTP server of pictures, good ones and bad ones: ``with served(200) as server:``.

It runs in a process of its own, which ends when its stdin is closed.
"""

from __future__ import annotations

__all__ = ("Kind", "Server", "kind_of", "served")

import json
import random
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import ClassVar
from urllib.parse import unquote
from urllib.request import urlopen


class Kind(Enum):
    """What is the matter with a picture."""

    FINE = "fine"
    MISSING = "404 Not Found"
    BROKEN = "damaged picture"
    NO_PICTURE = "not a picture"
    BOMB = "pixels: refused"
    SLOW = "no result after"
    FLAKY = "fine at the second request"
    REFUSED = "507 Insufficient Storage"


_KINDS = {
    3: Kind.MISSING,
    4: Kind.BROKEN,
    6: Kind.BROKEN,
    8: Kind.NO_PICTURE,
    11: Kind.BOMB,
    15: Kind.FLAKY,
    18: Kind.REFUSED,
}
FORMATS = ("JPEG", "PNG", "WEBP", "GIF")


def kind_of(number: int) -> Kind:
    """Return what is the matter with that picture. Of all only one is slow: it takes long."""
    return Kind.SLOW if number == 13 else _KINDS.get(number % 20, Kind.FINE)


def path_of(number: int) -> str:
    suffix = FORMATS[number % 4].lower()
    match number % 20:
        case 1:
            return f"{number}/same.{suffix}"
        case 17:
            return f"..%2F..%2f..%5C{number:03}/..%2f..%2Fescaped{number}.{suffix}"
        case 19:
            return f"%2e%2e%2fetc%2Fpass%00wd%0a{number:03}{'long' * 80}.{suffix}"
        case _:
            return f"{number:03}.{suffix}"


@cache
def draw(number: int) -> bytes:
    """Draw one: every eighth is tall, every twelfth lets something through."""
    from PIL import Image, ImageDraw

    chance = random.Random(number)
    size = (240, 320) if number % 8 == 0 else (320, 240)
    mode = "RGBA" if number % 12 == 1 else "RGB"
    image = Image.new(mode, size, tuple(chance.randbytes(len(mode))))
    pen = ImageDraw.Draw(image)
    for _ in range(12):
        pen.circle(
            (chance.randrange(320), chance.randrange(240)),
            chance.randrange(80),
            tuple(chance.randbytes(3)),
        )
    file = BytesIO()
    image.save(file, FORMATS[number % 4] if mode == "RGB" else "PNG")
    return file.getvalue()


@cache
def bomb() -> bytes:
    """Draw nothing, on 144 million pixels: a few kilobytes."""
    from PIL import Image

    file = BytesIO()
    Image.new("1", (12_000, 12_000)).save(file, "PNG")
    return file.getvalue()


@dataclass(frozen=True, slots=True)
class Server:
    """Where it is."""

    pictures: list[str]
    """The URL of each."""
    thumbnails: str
    """The URL of the folder to PUT to."""

    def uploaded(self) -> dict[str, int]:
        """Return the name and the size of what it was given."""
        with urlopen(self.thumbnails) as answer:
            found: dict[str, int] = json.load(answer)
        return found


@contextmanager
def served(count: int) -> Iterator[Server]:
    command = [sys.executable, "-m", __name__, str(count)]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        process_group=0,
        cwd=Path(__file__).parents[2],
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            base = process.stdout.readline().decode().strip()
            paths = [f"{base}/pictures/{path_of(number)}" for number in range(count)]
            yield Server(paths, f"{base}/thumbnails")
        finally:
            process.stdin.close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 60
    numbers: ClassVar[dict[str, int]]
    asked: ClassVar = Counter[int]()
    given: ClassVar[dict[str, bytes]] = {}
    closing = threading.Event()

    def do_GET(self) -> None:
        if self.path == "/thumbnails":
            self.answer(
                200, json.dumps({name: len(it) for name, it in self.given.items()}).encode()
            )
            return
        if self.path.startswith("/thumbnails/"):
            self.answer(200, self.given[self.name])
            return
        number = self.numbers.get(self.path.removeprefix("/pictures/"), -1)
        self.asked[number] += 1
        match kind_of(number) if number >= 0 else Kind.MISSING:
            case Kind.MISSING:
                self.answer(404)
            case Kind.BROKEN:
                self.answer(200, draw(number)[: len(draw(number)) // 2])
            case Kind.NO_PICTURE:
                self.answer(200, b"<p>This is no picture.</p>")
            case Kind.BOMB:
                self.answer(200, bomb())
            case Kind.FLAKY if self.asked[number] == 1:
                self.answer(503)
            case Kind.SLOW:
                self.closing.wait()
                self.close_connection = True
            case _:
                self.answer(200, draw(number))

    def do_PUT(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        if self.name[:3].isdecimal() and kind_of(int(self.name[:3])) is Kind.REFUSED:
            self.answer(507)
        elif self.headers["If-None-Match"] == "*" and self.name in self.given:
            self.answer(412)
        else:
            self.given[self.name] = data
            self.answer(201)

    @property
    def name(self) -> str:
        return unquote(self.path.removeprefix("/thumbnails/"))

    def answer(self, status: int, body: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_: object) -> None:
        """Ignore clients that go away."""


def main(count: int) -> None:
    _Handler.numbers = {path_of(number): number for number in range(count)}
    bomb()  # here: it takes longer than a client waits
    listener = _Listener(("127.0.0.1", 0), _Handler)
    threading.Thread(target=listener.serve_forever, daemon=True).start()
    print(f"http://127.0.0.1:{listener.server_port}", flush=True)
    sys.stdin.read()
    _Handler.closing.set()


if __name__ == "__main__":
    main(int(sys.argv[1]))
