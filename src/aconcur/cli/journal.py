"""``aconcur journal``: what a run has recorded, and which failed items are tried again."""

from __future__ import annotations

__all__ = ("add_arguments", "run")

import argparse
import json
import sys
from dataclasses import asdict
from typing import Any

from aconcur.cli.command_line import UsageError
from aconcur.pipeline import Journal, JournalFailure


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command and its options."""
    parser.description = (
        "show: print how many items a run has done, and each failed item with its error. retry: "
        "let the next run try failed items again, either all of them or those with a KEY; without "
        "it the next run skips them. Neither runs any item."
    )
    add = parser.add_argument
    add("action", choices=("show", "retry"))
    add("file", metavar="FILE", help="the journal")
    add("keys", nargs="*", metavar="KEY", help="items to retry, as show names them (default: all)")
    add("--json", action="store_true", help="show as JSON")


def run(chosen: argparse.Namespace) -> None:
    """Run the command."""
    journal = Journal(chosen.file)
    if chosen.action == "retry":
        _retry(journal, chosen.keys)
    elif chosen.keys:
        raise UsageError("show takes no KEY: it shows all")
    elif chosen.json:
        print(json.dumps(_as_dict(journal), indent=2))
    else:
        _show(journal)


def _show(journal: Journal) -> None:
    found = journal.statistics()
    print(f"pipeline  {found.stages}")
    print(f"done      {found.done}")
    print(f"failed    {found.failed}")
    print(f"again     {found.again}")
    for failure in journal.failures():
        tries = f"{failure.attempts} attempt{'s' if failure.attempts > 1 else ''}"
        again = ", to be tried again" if failure.again else ""
        said = " ".join(failure.error.split())
        print(f"{_name(failure)}: {failure.stage}: {said} ({tries}{again})")


def _as_dict(journal: Journal) -> dict[str, Any]:
    failures = [asdict(failure) | {"key": _name(failure)} for failure in journal.failures()]
    return asdict(journal.statistics()) | {"failures": failures}


def _retry(journal: Journal, names: list[str]) -> None:
    keys = None
    if names:
        known = {_name(failure): failure.key for failure in journal.failures()}
        if unknown := [name for name in names if name not in known]:
            raise UsageError(f"no failed item has the key {unknown[0]!r}: see aconcur journal show")
        keys = [known[name] for name in names]
    marked = journal.retry(keys)
    print(f"{marked} more to be tried again by the next run", file=sys.stderr)


def _name(failure: JournalFailure) -> str:
    """Return the key as it is typed, unless it would break the line."""
    text = str(failure.key) if isinstance(failure.key, str | int) else repr(failure.key)
    return text if text.isprintable() and text else repr(text)
