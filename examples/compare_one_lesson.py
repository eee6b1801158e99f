"""Measure one lesson from a program and draw your own conclusion.

``python examples/compare_one_lesson.py [ITEM]``
"""

from __future__ import annotations

import asyncio
import statistics
import sys

from aconcur.compare import find_lessons, measure


async def main(item: str) -> None:
    """Print the median time of every version of every case of a lesson."""
    (lesson,) = find_lessons([item])
    record = await measure(lesson, quick=True)
    for case in record.cases:
        for version in case.versions:
            if version.wall:
                median = statistics.median(version.wall)
                print(f"{lesson.name} {case.id:<12} {version.label:<22} {median * 1e3:10.2f} ms")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "lock"))
