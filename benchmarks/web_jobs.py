"""Put ``examples/web_jobs.py`` under load: ``python -m benchmarks.web_jobs [SERVER …]``.

Forty clients send jobs to the web application. One of the first jobs makes its pipeline fail, which
is then started again; after half of the requests the server gets SIGTERM. At the end the file of
stored jobs is compared with the answers: every accepted job must be there once.
"""

from __future__ import annotations

__all__ = ("SERVERS", "Load", "check", "load", "served")

import argparse
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import anyio
import httpx2

CLIENTS: Final = 40
# Seconds. Far more than a server needs to start or to end, also on a busy machine.
BOUND: Final = 60.0
SERVERS: Final = {
    "uvicorn": ["uvicorn", "--log-level", "warning", "--port"],
    "hypercorn": ["hypercorn", "--log-level", "warning", "-b"],
    "hypercorn-trio": ["hypercorn", "--log-level", "warning", "-k", "trio", "-b"],
}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def served(server: str, store: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run the application; kill it at the end of the block, if it still runs.

    Args:
        server: one of SERVERS.
        store: the file of the jobs that were done.
    """
    name, *options = SERVERS[server]
    port = _free_port()
    address = str(port) if name == "uvicorn" else f"127.0.0.1:{port}"
    command = [sys.executable, "-m", name, *options, address, "examples.web_jobs:app"]
    with subprocess.Popen(
        command,
        cwd=Path(__file__).parents[1],
        env={**os.environ, "JOBS": str(store)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            yield f"http://127.0.0.1:{port}", process
        finally:
            process.kill()


class Load:
    """Sends jobs and remembers which were accepted.

    Args:
        url: of the application.
        process: its server.
        requests: how many to send.
    """

    def __init__(self, url: str, process: subprocess.Popen[str], requests: int) -> None:
        self.url, self.process, self.requests = f"{url}/jobs", process, requests
        self.poison, self.sigterm = requests // 5, requests // 2
        self.sent, self.accepted, self.answers = 0, set[str](), Counter[int]()

    async def send(self, client: httpx2.AsyncClient, job: str) -> None:
        """Send a job."""
        try:
            answer = await client.post(self.url, content=job)
        except httpx2.HTTPError:  # the server has ended
            self.answers[0] += 1
            return
        self.answers[answer.status_code] += 1
        if answer.status_code == 202:
            self.accepted.add(job)

    async def work(self, client: httpx2.AsyncClient) -> None:
        """Send jobs until all are sent or the server has ended."""
        while self.sent < self.requests and self.process.poll() is None:
            self.sent += 1
            number = self.sent
            if number == self.sigterm:
                self.process.send_signal(signal.SIGTERM)
            job = f"poison {number}" if number == self.poison else f"job {number}"
            await self.send(client, job)
            while number == self.poison and job not in self.accepted and self.sent < self.sigterm:
                await self.send(client, job)  # it was refused: the queue was full


async def load(url: str, process: subprocess.Popen[str], requests: int) -> tuple[Load, str]:
    """Send the requests; return what was answered, and what the server printed."""
    async with httpx2.AsyncClient(trust_env=False, timeout=5) as client:
        await _until_it_answers(client, url)
        clients = Load(url, process, requests)
        async with anyio.create_task_group() as group:
            for _ in range(CLIENTS):
                group.start_soon(clients.work, client)
    with anyio.fail_after(BOUND):
        while process.poll() is None:
            await anyio.sleep(0.01)
    assert process.stdout is not None
    return clients, process.stdout.read()


async def _until_it_answers(client: httpx2.AsyncClient, url: str) -> None:
    with anyio.fail_after(BOUND):
        while True:
            try:
                await client.get(url)
            except httpx2.TransportError:
                await anyio.sleep(0.05)
            else:
                return


def check(clients: Load, said: str, store: Path) -> int:
    """Compare the stored jobs with the answers; return how many are stored.

    Raises:
        AssertionError: an accepted job is not stored once, or another one is stored.
    """
    poison = f"poison {clients.poison}"
    assert f"restarted after {poison}" in said, said
    stored = Counter(store.read_text().splitlines())
    assert set(stored.values()) == {1}, stored.most_common(3)
    lost = clients.accepted - {poison} - set(stored)
    assert not lost, lost
    # A job whose answer was lost with the connection may be stored as well.
    assert len(stored) - len(clients.accepted) <= clients.answers[0]
    assert clients.answers[202] >= clients.poison // 4, clients.answers
    assert set(clients.answers) <= {0, 202, 503}, clients.answers
    return len(stored)


def main() -> None:
    """Print what each server answered."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("servers", nargs="*", metavar="SERVER", help=", ".join(SERVERS))
    parser.add_argument("--requests", type=int, default=2000)
    options = parser.parse_args()
    for server in options.servers or SERVERS:
        with tempfile.TemporaryDirectory() as folder:
            store, began = Path(folder) / "jobs.txt", time.perf_counter()
            with served(server, store) as (url, process):
                clients, said = anyio.run(load, url, process, options.requests)
            stored = check(clients, said, store)
        answers = clients.answers
        print(
            f"{server:15} accepted {answers[202]}, refused {answers[503]}, no answer {answers[0]}: "
            f"{stored} stored, each once ({time.perf_counter() - began:.1f} s)"
        )


if __name__ == "__main__":
    main()
