"""A small lesson in a temporary folder, to try the comparing machinery on."""

from __future__ import annotations

__all__ = ("FINDING_TOML", "GROWTH_TOML", "LESSON_TOML", "SOURCES", "TABLE_TOML", "make_lesson")

from pathlib import Path

from aconcur.compare.lesson import Lesson, load_lesson

SOURCES = {
    "__init__.py": "",
    "work.py": """\
from contextlib import contextmanager


@contextmanager
def numbers(size, seed):
    yield ([seed % 7 + i for i in range(size)],)
""",
    "original.py": """\
import threading


def total(numbers):
    found = []

    def add():
        found.append(sum(numbers))

    thread = threading.Thread(target=add)
    thread.start()
    thread.join()
    return found[0]
""",
    "rebuilt.py": """\
import asyncio


async def total(numbers):
    await asyncio.sleep(0)
    return sum(numbers)
""",
    "costs.py": """\
def steps(size, seed):
    return {"first": {"µs": 2.0, "KiB": size}, "second": {"µs": 1, "KiB": 0.5}}
""",
}
LESSON_TOML = """\
item = 99
name = "sum"
title = "Sums"
change = "A thread becomes a task."
use = "tasks add."
stay = "one number is added."
repairs = ["the `thread` is joined"]

[[becomes]]
what = "a unit"
original = "def total"
rebuilt = "async def total"

[[pair]]
note = "Look at the `sum`."
original = "original.py::total"
rebuilt = "rebuilt.py::total"

[[case]]
id = "add"
what = "{size} numbers"
input = "numbers"
size = 50
quick = 5
rounds = 4
[case.versions]
"threads" = "original.py::total"
"asyncio" = "rebuilt.py::total"
"""
TABLE_TOML = """
[[table]]
id = "steps"
what = "two steps at {size}"
call = "costs.py::steps"
size = 3
quick = 2
rounds = 3
columns = ["µs", "KiB"]
"""


FINDING_TOML = """
[[finding]]
case = "add"
version = "asyncio"
faster = "Tasks add faster."
slower = "Tasks add more slowly."
unclear = "Both add alike."
"""
GROWTH_TOML = """
[growth]
title = "Numbers added"
unit = "numbers"
input = "numbers"
sizes = [10, 100]
rounds = 2
[growth.versions]
"threads" = "original.py::total"
"asyncio" = "rebuilt.py::total"
"""


def make_lesson(folder: Path, toml: str = LESSON_TOML, **sources: str) -> Lesson:
    """Write the lesson below ``folder`` (which must be on PYTHONPATH) and load it.

    ``sources`` replaces a file's text by its stem: ``rebuilt="..."``.
    """
    place = folder / "lesson_under_test"
    place.mkdir()
    for name, text in SOURCES.items():
        (place / name).write_text(sources.get(name.removesuffix(".py"), text), encoding="utf-8")
    (place / "lesson.toml").write_text(toml, encoding="utf-8")
    return load_lesson(place, place.name)
