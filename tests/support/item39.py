"""Pictures, servers and names that the tests of item 39 share."""

from __future__ import annotations

import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from typing import Any, TypeAlias

import pytest
from PIL import Image

from aconcur.lessons.item39_queue import work
from aconcur.lessons.item39_queue.work import Served

LESSON = "item39_queue"
PACKAGE = f"aconcur.lessons.{LESSON}"

Call: TypeAlias = Callable[..., Awaitable[Any]]
Job: TypeAlias = Callable[[Any], Any]

# Short, so that a version that hangs fails soon.
pytestmark = pytest.mark.timeout(60)


def urls_of(at: Served, size: int = 10) -> list[str]:
    return [at.pictures + name for name in work.names(size)]


def thumbnails(at: Served) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in at.folder.iterdir()}


def picture(size: tuple[int, int] = (64, 48), kind: str = "PNG", mode: str = "RGB") -> bytes:
    file = BytesIO()
    Image.new(mode, size).save(file, kind)
    return file.getvalue()


@contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """Answer each request with these bytes and hang up; with none, never answer."""
    held: list[socket.socket] = []
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                connection, _ = listener.accept()
                if ended.is_set():
                    connection.close()
                    return
                if answer:
                    # The reader may hang up first.
                    with connection, suppress(ConnectionError):
                        connection.recv(65536)
                        connection.sendall(answer)
                else:
                    held.append(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield "http://{}:{}/".format(*listener.getsockname())
        finally:
            ended.set()
            socket.create_connection(listener.getsockname()).close()
            thread.join()
            for connection in held:
                connection.close()


def unused_url() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return "http://{}:{}/".format(*listener.getsockname())
