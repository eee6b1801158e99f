"""A headless Chromium, controlled by its DevTools protocol."""

from __future__ import annotations

__all__ = ("Page", "find_browser", "open_page")

import base64
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import Any

from websockets.sync.client import ClientConnection, connect

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
LISTENING = re.compile(r"DevTools listening on (ws://\S+)")


def find_browser() -> str | None:
    """Return the path of a Chromium, or None."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Page:
    """A page in the browser. Made by :func:`open_page`."""

    def __init__(self, devtools: ClientConnection, url: str) -> None:
        self._devtools, self._sent = devtools, 0
        self._session: dict[str, object] = {}
        self._events: set[str] = set()
        target = self.tell("Target.createTarget", url="about:blank")["targetId"]
        attached = self.tell("Target.attachToTarget", targetId=target, flatten=True)
        self._session = {"sessionId": attached["sessionId"]}
        self.tell("Page.enable")
        self.tell("Page.navigate", url=url)
        while "Page.loadEventFired" not in self._events:
            self._hear()

    def tell(self, method: str, **parameters: object) -> dict[str, Any]:
        """Send a command of the protocol; return its result."""
        self._sent += 1
        message = {"id": self._sent, "method": method, "params": parameters, **self._session}
        self._devtools.send(json.dumps(message))
        while (answer := self._hear()).get("id") != self._sent:
            pass
        assert "error" not in answer, answer
        result: dict[str, Any] = answer["result"]
        return result

    def _hear(self) -> dict[str, Any]:
        said: dict[str, Any] = json.loads(self._devtools.recv(timeout=60))
        self._events.add(said.get("method", ""))
        return said

    def value(self, script: str) -> Any:  # noqa: ANN401 - whatever the script makes
        """Return the value of an expression, awaited if it is a promise."""
        said = self.tell(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        result = said["result"]
        assert "exceptionDetails" not in said, said
        return result["value"]

    def picture(self) -> bytes:
        """Return a screenshot of the page as PNG."""
        return base64.b64decode(self.tell("Page.captureScreenshot", format="png")["data"])


@contextmanager
def open_page(browser: str, url: str) -> Iterator[Page]:
    """Show a page in a new browser with a temporary profile."""
    # A socket's path has 107 characters at most: pytest's temporary folders are too deep.
    with (
        TemporaryDirectory(prefix="browser", dir="/tmp", ignore_cleanup_errors=True) as folder,
        _devtools(browser, folder) as devtools,
    ):
        yield Page(devtools, url)


@contextmanager
def _devtools(browser: str, folder: str) -> Iterator[ClientConnection]:
    arguments = [
        browser,
        "--headless=new",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--remote-debugging-port=0",
        f"--user-data-dir={folder}/profile",
        "--window-size=900,960",
        *(["--no-sandbox"] if os.geteuid() == 0 else []),
    ]
    process = subprocess.Popen(
        arguments,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": folder, "HOME": folder},
    )
    assert process.stderr is not None
    try:
        address = next(found[1] for line in process.stderr if (found := LISTENING.search(line)))
        with connect(address, max_size=None) as devtools:
            yield devtools
            devtools.send(json.dumps({"id": 0, "method": "Browser.close"}))
            process.wait(30)
    finally:
        process.kill()
        process.wait()
        process.stderr.close()
