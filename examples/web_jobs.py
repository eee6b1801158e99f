"""A web application that answers at once and lets a pipeline do the jobs, and loses none of them.

``uvicorn examples.web_jobs:app`` or ``hypercorn examples.web_jobs:app`` (``-k trio`` too), then
``curl -d 'a job' localhost:8000/jobs``. Each job becomes a line of the file that the environment
variable JOBS names.

A job that was accepted (202) is stored once, also if a worker fails and the pipeline is restarted,
and if the server gets SIGTERM. All others are refused (503):

* ``put_nowait`` accepts a job only if there is room, and the queue is open only while there is a
  consumer;
* a worker takes a job from the queue when it begins it, so a pipeline that fails loses none that
  waits;
* a job that was begun is finished under a shield;
* after the last request the queue is closed, and the application waits until it is empty.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from aconcur.pipeline import Queue, QueueClosed, QueueFull, stage

STORE = Path(os.environ.get("JOBS", "jobs.txt"))
# Created with the application: it is used in the loop that the server runs.
jobs = Queue[str](maxsize=64)


class PoisonError(Exception):
    """Raised by a job that no one expected."""


async def store(job: str) -> None:
    """Do a job: here, add a line to a file."""
    if job.startswith("poison"):
        raise PoisonError(job)
    with anyio.CancelScope(shield=True):
        await anyio.sleep(0.001)
        async with await anyio.open_file(STORE, "a", encoding="utf-8") as file:
            await file.write(f"{job}\n")


async def do_jobs() -> None:
    """Run the pipeline until the queue is closed and empty; start it again if it fails."""
    with jobs.consumer():  # keeps the queue open between two pipelines
        while True:
            try:
                await stage(store, workers=4).run(jobs)
            except* PoisonError as errors:
                print("restarted after", *errors.exceptions, flush=True)
            else:
                return


@asynccontextmanager
async def lifespan(_: Starlette) -> AsyncGenerator[None, None]:
    """Do jobs as long as the application runs, and the accepted ones to the end."""
    async with anyio.create_task_group() as group:
        group.start_soon(do_jobs)
        yield
        jobs.close()


async def accept(request: Request) -> Response:
    """Answer at once: accepted, or come again later."""
    try:
        jobs.put_nowait((await request.body()).decode())
    except (QueueFull, QueueClosed) as reason:
        return PlainTextResponse(f"{reason}\n", 503, headers={"Retry-After": "1"})
    return PlainTextResponse("accepted\n", 202)


app = Starlette(routes=[Route("/jobs", accept, methods=["POST"])], lifespan=lifespan)
