"""Docstrings, comments, messages and documents are free of sentences that are read twice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.support.imports import ROOT
from tests.support.known import check, part_of
from tests.support.prose import Passage, find_dialect, passages_of

DOCUMENTS: Final = ("*.md", "docs/**/*.md", "src/**/*.toml", "benchmarks/*.md")
SOURCES: Final = ("src/**/*.py", "examples/**/*.py", "benchmarks/**/*.py")


def written_files() -> Iterator[Path]:
    for pattern in (*DOCUMENTS, *SOURCES):
        for path in sorted(ROOT.glob(pattern)):
            # COMPARISON.md is made of the lessons; original_py2.py is not Python 3.
            if path.name not in {"COMPARISON.md", "original_py2.py"}:
                yield path


def test_no_dialect_in_sources_and_documents() -> None:
    offences = []
    for path in written_files():
        file = path.relative_to(ROOT)
        for passage in passages_of(path):
            for line, name, words in find_dialect(passage):
                offences.append((part_of(file), f"{file}:{line}: {name}: {words}"))
    check("dialect", offences)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Drop what is not asked for.", []),
        ("What comes out is written.", ["what as a subject"]),
        ("The hash of what was sent.", ["what as a subject"]),
        ("What is a run?", []),
        ("Kill who takes too long.", []),
        ("Who waits in front is served.", ["who without a noun"]),
        ("The order, and who holds it.", ["who without a noun"]),
        ("The task that holds it, or a thread who holds it.", []),
        ("It serves whoever asks.", ["who without a noun"]),
        ("run() has nobody who would write", ["nobody"]),
        ("none can know; None is the default", ["nobody"]),
        ("limit is no number", ["is no"]),
        ("The file is no longer there, and there is no way back.", []),
        ("Bounded unless told otherwise", ["a set phrase"]),
        ("bury a worker", ["a private image"]),
    ],
)
def test_dialect_is_told_from_plain_english(text: str, name: list[str]) -> None:
    assert [found for _, found, _ in find_dialect(Passage(1, text))] == name


def test_prose_is_found_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text(
        '"""A docstring."""\n'
        "x = 1  # a comment\n"
        "# that goes on\n"
        'raise ValueError(f"a message: {x} is wrong", "key")\n'
    )
    assert sorted(passages_of(path)) == [
        (1, "A docstring."),
        (2, "a comment\nthat goes on"),
        (4, " is wrong"),
        (4, "a message: "),
    ]


def test_paragraphs_of_a_document_keep_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text("# Title\n\nOne thing,\nwhich is no thing.\n")
    found = [match for passage in passages_of(path) for match in find_dialect(passage)]
    assert found == [(4, "is no", "is no thing.")]
