"""Run ``aconcur`` with every lesson cut down to two versions of its first case.

``python -m tests.support.two_versions compare 40 --quick`` is ``aconcur compare 40 --quick`` in a
third of the time, for tests of what does not depend on how many versions are measured.
"""

from __future__ import annotations

import runpy
from dataclasses import replace

from aconcur.compare import lesson


def cut_down(whole: lesson.Lesson) -> lesson.Lesson:
    """Keep the original and the toolkit's version, and no finding about the others."""
    case = whole.cases[0]
    few = {
        label: reference
        for label, reference in case.versions.items()
        if reference.startswith(("original.py", "toolkit.py")) and "@" not in reference
    }
    return replace(whole, findings=(), growth=None, cases=(replace(case, versions=few),), tables=())


def main() -> None:
    every = lesson.load_lessons
    lesson.load_lessons = lambda: tuple(map(cut_down, every()))
    runpy.run_module("aconcur", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
