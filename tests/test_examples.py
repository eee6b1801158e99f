"""Every example, and every snippet of the README and of the docs, runs as it stands."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.extras import skip_without
from tests.support.picture_server import Kind, kind_of, served

ROOT = Path(__file__).parents[1]
COUNT = 60  # pictures: three of each kind but the slow one
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
SNIPPET = re.compile(r"```python\n(.*?)```\n(?:\n```text\n(.*?)```\n)?", re.DOTALL)
SNIPPETS = [
    pytest.param(*found.groups(), id=f"{page.stem}-{number}")
    for page in PAGES
    for number, found in enumerate(SNIPPET.finditer(page.read_text(encoding="utf-8")), 1)
]


def run(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_example_has_a_test() -> None:
    tested = {name.removeprefix("test_") for name in globals() if name.startswith("test_")}
    assert {file.stem for file in (ROOT / "examples").glob("*.py")} <= tested


def test_compare_one_lesson() -> None:
    lines = run("examples/compare_one_lesson.py", "coroutines").splitlines()
    assert len(lines) >= 2
    assert all(re.fullmatch(r"coroutines \S+ +.+ +[\d.]+ ms", line) for line in lines)


@skip_without("trio")
def test_find_a_race() -> None:
    out = run("examples/find_a_race.py")
    assert "AssertionError: asked 2 times" in out
    assert "the same on trio: trio, replay: 1 of 1 schedule failed" in out
    assert "with a lock: asyncio, bounded: none of all " in out


@skip_without("distributed")
@pytest.mark.timeout(300)
def test_word_count() -> None:
    assert run("examples/word_count.py", "pool", "executor", "cluster", "200").splitlines() == [
        "harbour 8144",
        "wind 8084",
        "sea 8083",
        "words 80000",
    ]


@pytest.mark.timeout(300)
def test_mandelbrot(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    pictures = []
    for where in ("pool", "executor"):
        path = tmp_path / f"{where}.png"
        assert run("examples/mandelbrot.py", str(path), where, "120") == f"{path.name}: 120 × 90\n"
        with image.open(path) as picture:
            picture.load()
            pictures.append(picture.tobytes())
            # Left of the set nothing is in it; the middle of its main body is.
            assert picture.getpixel((0, 0)) > 200
            assert picture.getpixel((75, 45)) == 0
    assert pictures[0] == pictures[1]


@skip_without("numpy")
@pytest.mark.timeout(300)
def test_gradient() -> None:
    lines = run("examples/gradient.py", "pool", "executor").splitlines()
    assert [line.split(":")[0] for line in lines] == ["pool", "executor"]
    assert all(float(line.split("off by ")[1]) < 1e-3 for line in lines)


def test_thread_producer() -> None:
    out = run("examples/thread_producer.py", "2000")
    assert out.startswith("2000 readings, 20 averages: ")
    assert "average" in out


def test_web_jobs(tmp_path: Path) -> None:
    pytest.importorskip("starlette")
    store = tmp_path / "jobs.txt"
    script = """
import anyio, httpx2
from examples.web_jobs import app

async def main():
    async with app.router.lifespan_context(app):
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app)) as client:
            for job in ("one", "poison", "two"):
                print((await client.post("http://app/jobs", content=job)).status_code)

anyio.run(main)
"""
    environment = {**os.environ, "JOBS": str(store)}
    command = [sys.executable, "-c", script]
    out = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment)
    assert out.stdout.split()[:2] == ["202", "202"], out.stderr
    assert set(store.read_text().split()) == {"one", "two"}


def test_rate_limited_client() -> None:
    out = run("examples/rate_limited_client.py", "60")
    assert re.match(r"60 of 60 customers in \d+\.\d s, 0 refused, at most \d+ requests", out)


@skip_without("PIL", "httpx2")
def test_thumbnails(tmp_path: Path) -> None:
    urls, journal = tmp_path / "urls", str(tmp_path / "run.db")
    bad = (Kind.MISSING, Kind.BROKEN, Kind.NO_PICTURE, Kind.BOMB, Kind.SLOW)
    with served(COUNT) as server:
        urls.write_text("\n".join(server.pictures))
        out = run("examples/thumbnails.py", str(urls), server.thumbnails, journal)
        kinds = [kind_of(number) for number in range(COUNT)]
        for url, kind in zip(server.pictures, kinds, strict=True):
            if kind in bad:
                assert f"\n{url}: " in out
        uploaded = server.uploaded()
        assert len(uploaded) == COUNT - sum(kind in bad for kind in kinds)
        assert all(re.fullmatch(r"[A-Za-z0-9-]+\.jpg", name) for name in uploaded)
        again = run("examples/thumbnails.py", str(urls), server.thumbnails, journal)
        assert f"({COUNT} items recorded before); there was nothing to do" in again
        assert server.uploaded() == uploaded


def test_cluster() -> None:
    assert run("examples/cluster.py", "", "3000") == "216 2919\n"


def test_life_server() -> None:
    """Its behaviour towards viewers is tested in test_life_server.py."""
    assert "One Game of Life for many viewers" in run("examples/life_server.py", "--help")


@pytest.mark.parametrize(("snippet", "printed"), SNIPPETS)
def test_a_snippet_runs_and_prints_what_stands_below(snippet: str, printed: str | None) -> None:
    out = run("-c", snippet)
    assert out if printed is None else out == printed


def test_the_first_snippet_of_the_readme_shows_what_it_prints() -> None:
    assert SNIPPETS[0].values[1] is not None
    assert SNIPPETS[0].id == "README-1"
