"""A web application under load, with a poison job and SIGTERM in the middle: no job is lost."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest

from tests.support.backends import BACKENDS
from tests.support.states import BOUND, until

pytest.importorskip("httpx2")
pytest.importorskip("starlette")

import httpx2

ROOT = Path(__file__).parents[2]
REQUESTS = 2000
POISON, SIGTERM = 400, 1200  # after so many answers
SERVERS = {
    "uvicorn": ["uvicorn", "--log-level", "warning", "--port"],
    "hypercorn": ["hypercorn", "--log-level", "warning", "-b"],
    "hypercorn-trio": ["hypercorn", "--log-level", "warning", "-k", "trio", "-b"],
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def served(server: str, store: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    name, *options = SERVERS[server]
    pytest.importorskip(name)
    port = free_port()
    address = str(port) if name == "uvicorn" else f"127.0.0.1:{port}"
    command = [sys.executable, "-m", name, *options, address, "examples.web_jobs:app"]
    environment = {**os.environ, "JOBS": str(store)}
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            yield f"http://127.0.0.1:{port}", process
        finally:
            process.kill()


class Load:
    """Sends jobs and remembers which were accepted."""

    def __init__(self, url: str, process: subprocess.Popen[str]) -> None:
        self.url, self.process = f"{url}/jobs", process
        self.sent, self.accepted, self.answers = 0, set[str](), Counter[int]()

    async def send(self, client: httpx2.AsyncClient, job: str) -> None:
        try:
            answer = await client.post(self.url, content=job)
        except httpx2.HTTPError:  # the server has ended
            self.answers[0] += 1
            return
        self.answers[answer.status_code] += 1
        if answer.status_code == 202:
            self.accepted.add(job)

    async def work(self, client: httpx2.AsyncClient) -> None:
        while self.sent < REQUESTS and self.process.poll() is None:
            self.sent += 1
            number = self.sent
            if number == SIGTERM:
                self.process.send_signal(signal.SIGTERM)
            job = f"poison {number}" if number == POISON else f"job {number}"
            await self.send(client, job)
            while number == POISON and job not in self.accepted and self.sent < SIGTERM:
                await self.send(client, job)  # it was refused: the queue was full


@pytest.mark.parametrize(
    "anyio_backend", [BACKENDS["asyncio"]], ids=["client on asyncio"], indirect=True
)
@pytest.mark.timeout(240)
@pytest.mark.parametrize("server", SERVERS)
async def test_every_accepted_job_is_stored_once_or_refused(server: str, tmp_path: Path) -> None:
    store = tmp_path / "jobs.txt"
    with served(server, store) as (url, process):
        async with httpx2.AsyncClient(trust_env=False, timeout=5) as client:
            await _until_it_answers(client, url)
            load = Load(url, process)
            async with anyio.create_task_group() as group:
                for _ in range(40):
                    group.start_soon(load.work, client)
        await until(lambda: process.poll() is not None)
        assert process.stdout is not None
        said = process.stdout.read()
    assert f"restarted after poison {POISON}" in said
    stored = Counter(store.read_text().splitlines())
    assert set(stored.values()) == {1}
    assert load.accepted - {f"poison {POISON}"} <= set(stored)
    # A job whose answer was lost with the connection may be stored as well.
    assert len(stored) - len(load.accepted) <= load.answers[0]
    assert load.answers[202] >= POISON
    assert set(load.answers) <= {0, 202, 503}


async def _until_it_answers(client: httpx2.AsyncClient, url: str) -> None:
    with anyio.fail_after(BOUND):
        while True:
            try:
                await client.get(url)
            except httpx2.TransportError:
                await anyio.sleep(0.05)
            else:
                return
