"""A web application under load, with a poison job and SIGTERM in the middle: no job is lost.

``python -m benchmarks.web_jobs`` does the same with 2 000 requests.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.backends import BACKENDS

pytest.importorskip("httpx2")
pytest.importorskip("starlette")

from benchmarks.web_jobs import SERVERS, check, load, served


@pytest.mark.parametrize(
    "anyio_backend", [BACKENDS["asyncio"]], ids=["client on asyncio"], indirect=True
)
@pytest.mark.timeout(240)
@pytest.mark.parametrize("server", SERVERS)
async def test_every_accepted_job_is_stored_once_or_refused(server: str, tmp_path: Path) -> None:
    pytest.importorskip(SERVERS[server][0])
    store = tmp_path / "jobs.txt"
    with served(server, store) as (url, process):
        clients, said = await load(url, process, 300)
    assert check(clients, said, store) >= clients.poison // 4
