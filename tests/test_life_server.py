"""The life server: viewers get true generations, and a slow one delays no other."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from websockets.sync.client import ClientConnection, connect

from aconcur.life import Bounds, Grid, classic, make_engine
from tests.support.browser import find_browser, open_page

SERVER = Path(__file__).parents[1] / "examples" / "life_server.py"
PATIENCE = 60


@contextmanager
def serving(*arguments: str) -> Iterator[str]:
    """Run the server on a free port; yield host and port."""
    process = subprocess.Popen(
        [sys.executable, SERVER, *arguments, "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip().removeprefix("http://").removesuffix("/")
        process.send_signal(signal.SIGINT)
        said, complaints = process.communicate(timeout=PATIENCE)
        assert (process.returncode, said, complaints) == (0, "", "")
    finally:
        process.kill()
        process.communicate()


@contextmanager
def viewing(address: str, *, buffer: int | None = None) -> Iterator[ClientConnection]:
    """Connect a viewer, with a small receive buffer if it is to be a slow one."""
    host, _, port = address.partition(":")
    line = socket.socket()
    if buffer is not None:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    line.connect((host, int(port)))
    url = f"ws://{address}/cells"
    with connect(url, sock=line, max_queue=1, compression=None, close_timeout=0) as viewer:
        yield viewer


def frame(viewer: ClientConnection) -> tuple[int, int]:
    """Return the number and the cells of the next generation that a viewer receives."""
    data = viewer.recv(timeout=PATIENCE)
    assert isinstance(data, bytes)
    return int.from_bytes(data[:8], "big"), int.from_bytes(data[8:], "little")


class Truth:
    """The same pattern, computed here."""

    def __init__(self, name: str, bounds: Bounds) -> None:
        self._engine = make_engine(classic(name).inside(bounds))
        self._number = 0

    def at(self, number: int) -> Grid:
        self._engine.step(number - self._number)
        self._number = number
        return self._engine.snapshot()


def test_every_viewer_sees_true_generations_in_their_order() -> None:
    arguments = ("r-pentomino", "--torus", "24x37", "--rate", "200")
    with serving(*arguments) as address, viewing(address) as one, viewing(address) as other:
        for viewer in (one, other):
            assert json.loads(viewer.recv(timeout=PATIENCE)) == {"height": 24, "width": 37}
            truth = Truth("r-pentomino", Bounds("torus", 24, 37))
            last = -1
            for _ in range(30):
                number, bits = frame(viewer)
                assert number > last
                assert bits == truth.at(number).bits
                last = number


def test_a_slow_viewer_skips_generations_and_delays_no_other() -> None:
    arguments = ("acorn", "--torus", "1024x1024", "--rate", "300")
    with (
        serving(*arguments) as address,
        viewing(address, buffer=1 << 14) as slow,
        viewing(address) as quick,
    ):
        quick.recv(timeout=PATIENCE)
        seen = 0
        # The slow viewer reads nothing while far more frames pass than all buffers hold.
        while seen < 200:
            seen, _ = frame(quick)
        slow.recv(timeout=PATIENCE)
        numbers = [frame(slow)[0]]
        while numbers[-1] < 200:
            number, bits = frame(slow)
            numbers.append(number)
        assert numbers == sorted(set(numbers))
        assert len(numbers) < 100
        assert bits == Truth("acorn", Bounds("torus", 1024, 1024)).at(number).bits


def test_viewers_come_and_go() -> None:
    with serving("glider", "--torus", "8x8", "--rate", "500") as address:
        last = -1
        for _ in range(5):
            with viewing(address) as viewer:
                viewer.recv(timeout=PATIENCE)
                number, _ = frame(viewer)
                assert number >= last
                last = number


def test_the_page_is_at_the_root_and_nothing_else_is_anywhere() -> None:
    with serving("glider", "--torus", "8x8") as address:
        with urllib.request.urlopen(f"http://{address}/", timeout=PATIENCE) as page:
            assert page.headers["Content-Type"] == "text/html; charset=utf-8"
            assert page.read() == SERVER.with_suffix(".html").read_bytes()
        with pytest.raises(urllib.error.HTTPError, match="404") as refused:
            urllib.request.urlopen(f"http://{address}/etc/passwd", timeout=PATIENCE)
        refused.value.close()


@pytest.mark.parametrize(
    ("arguments", "why"),
    [(["glidr"], "known: glider"), (["glider", "--torus", "2x2"], "does not fit into 2 × 2")],
)
def test_a_wrong_command_line_is_refused(arguments: list[str], why: str) -> None:
    done = subprocess.run(
        [sys.executable, SERVER, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert why in done.stderr


@pytest.mark.skipif(find_browser() is None, reason="Chromium is not installed")
def test_a_browser_shows_true_generations(tmp_path: Path) -> None:
    """Read number and pixels from the page when it has drawn the 20th generation or a later one."""
    look = """
        new Promise((resolve) => {
          const look = () => {
            const number = Number(document.getElementById("number").value);
            if (!(number >= 20)) return requestAnimationFrame(look);
            const canvas = document.getElementById("cells");
            const { width, height } = canvas;
            const pixels = canvas.getContext("2d").getImageData(0, 0, width, height).data;
            const cells = Array.from({ length: width * height }, (_, i) => pixels[4 * i]);
            resolve([number, height, width, cells.map((red) => (red > 128 ? "O" : ".")).join("")]);
          };
          look();
        })
    """
    browser = find_browser()
    assert browser is not None
    with (
        serving("gosper-glider-gun", "--torus", "64x80", "--rate", "60") as address,
        open_page(browser, f"http://{address}/") as page,
    ):
        number, height, width, cells = page.value(look)
        assert (height, width) == (64, 80)
        truth = Truth("gosper-glider-gun", Bounds("torus", 64, 80)).at(number)
        assert cells == truth.to_text().replace("\n", "")
        picture = page.picture()
        assert picture.startswith(b"\x89PNG")
        (tmp_path / "page.png").write_bytes(picture)
