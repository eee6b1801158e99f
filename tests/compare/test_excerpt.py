"""Code is quoted by the names it defines."""

from __future__ import annotations

from pathlib import Path

import pytest

from aconcur.compare.excerpt import ExcerptError, excerpt, normalized_digest

SOURCE = '''\
"""Doc."""

LIMIT = 3  # why
KIND: int = 4


@first
@second(1)
def plain(a):
    # kept
    return a


class Box:
    async def open(self):
        """Say so."""
        return 1
'''


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.py").write_text(SOURCE)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "quoted"),
    [
        ("LIMIT", "LIMIT = 3  # why"),
        ("KIND", "KIND: int = 4"),
        ("plain", "@first\n@second(1)\ndef plain(a):\n    # kept\n    return a"),
        ("Box.open", 'async def open(self):\n    """Say so."""\n    return 1'),
    ],
)
def test_a_definition_is_quoted_as_it_stands(folder: Path, name: str, quoted: str) -> None:
    assert excerpt(folder, f"a.py::{name}") == (quoted,)


def test_several_are_quoted_in_the_order_asked(folder: Path) -> None:
    assert excerpt(folder, "a.py::KIND + LIMIT") == ("KIND: int = 4", "LIMIT = 3  # why")


def test_a_name_may_bring_a_file_of_its_own(folder: Path) -> None:
    (folder / "b.py").write_text("ONE = 1\nTWO = 2\n")
    quoted = ("KIND: int = 4", "ONE = 1", "TWO = 2", "LIMIT = 3  # why")
    assert excerpt(folder, "a.py::KIND + b.py::ONE + TWO + a.py::LIMIT") == quoted


@pytest.mark.parametrize(
    ("reference", "complaint"),
    [
        ("a.py::absent", "a.py defines no 'absent'"),
        ("a.py::Box.close", "a.py defines no 'Box.close'"),
        ("b.py::plain", "has no file 'b.py'"),
        ("a.py::KIND + b.py::plain", "has no file 'b.py'"),
        ("plain", "has no file ''"),
    ],
)
def test_what_is_not_there_is_named(folder: Path, reference: str, complaint: str) -> None:
    with pytest.raises(ExcerptError, match=complaint):
        excerpt(folder, reference)


def test_the_digest_sees_code_not_comments(folder: Path) -> None:
    file = folder / "a.py"
    before = normalized_digest(file)
    file.write_text(SOURCE.replace("    # kept\n", "\n    # another\n\n"))
    assert normalized_digest(file) == before
    file.write_text(SOURCE.replace("return a", "return -a"))
    assert normalized_digest(file) != before


def test_a_bare_quotation_has_no_docstring_and_no_words_for_checkers(tmp_path: Path) -> None:
    (tmp_path / "code.py").write_text(
        'class A:\n    """Say what it is.\n\n    At length.\n    """\n\n'
        "    def run(self):  # noqa: ANN201 - why\n"
        '        """Run."""\n'
        "        return 1  # type: ignore[return]\n\n"
        '    def only(self):\n        """A body of its own."""\n'
    )
    assert excerpt(tmp_path, "code.py::A", bare=True) == (
        (
            "class A:\n    def run(self):\n        return 1\n\n"
            '    def only(self):\n        """A body of its own."""'
        ),
    )


def test_docstrings_do_not_count_for_a_digest(tmp_path: Path) -> None:
    one, two = tmp_path / "one.py", tmp_path / "two.py"
    one.write_text('"""A."""\n\ndef f():\n    """B."""\n    return 1\n')
    two.write_text('"""C,\nat length."""\n\n# D\ndef f():\n    return 1\n')
    assert normalized_digest(one) == normalized_digest(two)
