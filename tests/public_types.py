"""Demand that pyright knows the type of everything public: ``python -m tests.public_types``.

Lessons are left to mypy: they are programs to read and to run, and nobody imports their names.
And it must reject what mypy rejects in ``types_rejected.py``, line by line.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

LESSON = "aconcur.lessons.item"
EXPECTED = "  # type: ignore"


def accepted(path: Path) -> list[str]:
    """Return the lines that are to be rejected, and that pyright does not reject."""
    lines = path.read_text(encoding="utf-8").splitlines()
    with TemporaryDirectory() as folder:
        bare = Path(folder, path.name)
        bare.write_text("\n".join(line.partition(EXPECTED)[0] for line in lines) + "\n")
        done = subprocess.run(
            ["pyright", "--pythonpath", sys.executable, "--outputjson", str(bare)],
            capture_output=True,
            text=True,
            check=False,
        )
    found = json.loads(done.stdout)["generalDiagnostics"]
    rejected = {one["range"]["start"]["line"] for one in found if one["severity"] == "error"}
    return [line for at, line in enumerate(lines) if EXPECTED in line and at not in rejected]


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
    wrong = [
        f"{path}: pyright accepts {line.strip()}"
        for path in Path("tests").glob("*/types_rejected.py")
        for line in accepted(path)
    ]
    print(*wrong, sep="\n", end="\n" if wrong else "")
    sys.exit(bool(vague or wrong) or not symbols)


if __name__ == "__main__":
    main()
