"""Demand that pyright knows the type of everything public: ``python -m tests.public_types``.

Lessons are left to mypy: they are programs to read and to run, and nobody imports their names.
"""

from __future__ import annotations

import json
import subprocess
import sys

LESSON = "aconcur.lessons.item"


def main() -> None:
    """Print each public symbol whose type is not fully known; exit with 1 if there is one."""
    done = subprocess.run(
        ["pyright", "--verifytypes", "aconcur", "--ignoreexternal", "--outputjson"],
        capture_output=True,
        text=True,
        check=False,
    )
    symbols = [
        symbol
        for symbol in json.loads(done.stdout)["typeCompleteness"]["symbols"]
        if symbol["isExported"] and not symbol["name"].startswith(LESSON)
    ]
    vague = [symbol["name"] for symbol in symbols if not symbol["isTypeKnown"]]
    print(*vague, sep="\n", end="\n" if vague else "")
    print(f"{len(symbols) - len(vague)} of {len(symbols)} public symbols have a known type")
    sys.exit(bool(vague) or not symbols)


if __name__ == "__main__":
    main()
