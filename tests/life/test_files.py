from __future__ import annotations

import gzip
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aconcur.life import (
    Grid,
    Pattern,
    PatternError,
    PatternSizeError,
    classic,
    read,
    read_cells,
    read_life106,
    read_macrocell,
    read_rle,
    write,
    write_cells,
    write_life106,
    write_macrocell,
    write_rle,
)
from tests.support.patterns import UNHURRIED

GLIDER = Pattern([(0, 1), (1, 2), (2, 0), (2, 1), (2, 2)])


_NO_END = "9" * 5000


@contextmanager
def full_disk(size: int) -> Iterator[None]:
    """Let every write beyond this size of a file fail."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.rle", f"{_NO_END}o!"),
        ("a.rle", f"3o{_NO_END}$o!"),
        ("a.rle", f"#R {_NO_END} 5\no!"),
        ("a.rle", f"#R -{_NO_END} 5\no!"),
        ("a.lif", f"#Life 1.06\n{_NO_END} 1"),
        ("a.mc", f"[M2]\n{_NO_END} 0 0 0 0"),
        ("a.mc", f"[M2]\n4 {_NO_END} 0 0 0"),
    ],
)
def test_a_number_of_too_many_digits_is_refused_at_its_place(
    name: str, text: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(PatternError, match=rf"{name}, line \d, column \d"):
        read(tmp_path / name)


@pytest.mark.parametrize(
    "suffix", [".rle", ".RLE", ".cells", ".mc", ".lif", ".life", ".rle.gz", ".MC.GZ", ".cells.gz"]
)
def test_the_name_tells_the_format(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"glider{suffix}"
    write(GLIDER, path)
    assert read(path) == GLIDER
    assert read(str(path)) == GLIDER


@pytest.mark.parametrize("suffix", [".rle", ".cells", ".mc", ".lif"])
def test_the_content_tells_it_where_the_name_does_not(tmp_path: Path, suffix: str) -> None:
    write(GLIDER, tmp_path / f"glider{suffix}")
    renamed = (tmp_path / f"glider{suffix}").rename(tmp_path / "glider.txt")
    assert read(renamed) == GLIDER


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("glider.cells", "#C a glider\nx = 3, y = 3\nbo$2bo$3o!\n"),
        ("glider.rle", "!Name: Glider\n.O.\n..O\nOOO\n"),
        ("glider.lif", "bo$2bo$3o!\n"),
        ("glider.life", "x = 3, y = 3\nbo$2bo$3o!\n"),
        ("glider", ".O.\n..O\nOOO\n"),
    ],
)
def test_the_content_overrules_a_wrong_name(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    assert sorted(read(tmp_path / name).cells()) == sorted(GLIDER.cells())


def test_life_106_is_known_by_its_first_line(tmp_path: Path) -> None:
    path = tmp_path / "glider.rle"
    path.write_text("#Life 1.06\n1 0\n2 1\n0 2\n1 2\n2 2\n")
    assert read(path) == GLIDER


@pytest.mark.parametrize("name", ["glider.lif", "glider.life", "glider.rle", "glider"])
def test_life_105_is_known_by_its_first_line_or_its_blocks(tmp_path: Path, name: str) -> None:
    blocks = "#P 0 0\n.*\n..*\n***\n"
    (tmp_path / name).write_text(f"#Life 1.05\n#D a glider\n#N\n{blocks}")
    assert read(tmp_path / name).population == 5
    if not name.endswith(".rle"):
        (tmp_path / name).write_text(f"#D a glider\n#N\n{blocks}")
        assert read(tmp_path / name).comments == ("a glider",)


@pytest.mark.parametrize("name", ["glider.rle", "glider.rle.gz", "glider.gz", "glider.txt"])
def test_a_compressed_file_is_known_by_its_content(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(gzip.compress(write_rle(GLIDER).encode()))
    assert read(tmp_path / name) == GLIDER


def test_mcell_is_told_apart_and_refused(tmp_path: Path) -> None:
    (tmp_path / "a.mcl").write_text("#MCell 4.00\n#GAME Life\n#L .A$..A$3A\n")
    with pytest.raises(PatternError, match=r"MCell's format \(\.mcl\) is not supported"):
        read(tmp_path / "a.mcl")


@pytest.mark.parametrize("end", [5, -9, -1])
def test_a_damaged_compressed_file_is_refused(tmp_path: Path, end: int) -> None:
    path = tmp_path / "glider.rle.gz"
    path.write_bytes(gzip.compress(write_rle(GLIDER).encode())[:end])
    with pytest.raises(PatternError, match=r"glider\.rle\.gz, .*the gzip data is damaged"):
        read(path)
    path.write_bytes(b"\x1f\x8b\x08\0\0\0\0\0\0\0" + b"\xff" * 40)
    with pytest.raises(PatternError, match="the gzip data is damaged"):
        read(path)


def test_errors_name_the_file(tmp_path: Path) -> None:
    path = tmp_path / "bad.rle"
    path.write_text("bo$z!")
    with pytest.raises(PatternError, match=r"bad\.rle, line 1, column 4: 'z'"):
        read(path)
    path.write_bytes(b"\x89PNG\0")
    with pytest.raises(PatternError, match=r"the file is binary, and a pattern is text"):
        read(path)
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "absent.rle")


@pytest.mark.parametrize("suffix", [".rle", ".cells", ".mc", ".lif"])
def test_a_failed_write_keeps_the_old_file(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"kept{suffix}"
    write(GLIDER, path)
    before = path.read_bytes()
    soup = Pattern.from_grid(Grid.random(64, 64, seed=1))
    with full_disk(100), pytest.raises(OSError, match="File too large"):
        write(soup, path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_an_unknown_ending_is_refused_for_writing(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"'glider.txt' must end in one of .rle, .cells.* or that and .gz"
    ):
        write(GLIDER, tmp_path / "glider.txt")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "text",
    [
        "#N a\u2028b\n#O c\x85d\n#C \x1ce\x0bf \nx = 1, y = 1\no!",
        "!Name: a\u2028b\n!Author: c\x85d\n! \x1ce\x0bf \nO",
        "[M2] (here)\n#N a\u2028b\n#O c\x85d\n#C \x1ce\x0bf \n*$",
    ],
)
def test_line_ends_that_only_unicode_knows_become_spaces(tmp_path: Path, text: str) -> None:
    suffix = ".cells" if text.startswith("!") else ".rle"
    (tmp_path / f"a{suffix}").write_text(text, encoding="utf-8")
    pattern = read(tmp_path / f"a{suffix}")
    assert (pattern.name, pattern.author, pattern.comments) == ("a b", "c d", ("e f",))
    write(pattern, tmp_path / "b.rle")
    assert read(tmp_path / "b.rle") == pattern


FORMATS = {
    read_rle: write_rle,
    read_cells: write_cells,
    read_life106: write_life106,
    read_macrocell: write_macrocell,
}
SPLINTERS = [
    *(b"! $ b o 0 63 # - \n \r \t \xff \0 \x1c \x0b :T0,0 :P5,5 [M2]".split(b" ")),
    *(b"#P 9 -9", b"#C ", b"rule = ", b"4 0 0 0 1", b"#R B0/S", b"!Name: x", b"+5 -5", b"9" * 21),
    *("\u2028".encode(), "\x85".encode(), "٣".encode()),
]
WOUNDS = st.lists(
    st.tuples(st.integers(0, 999), st.integers(0, 4), st.sampled_from(SPLINTERS)), max_size=6
)


@UNHURRIED
@given(
    st.sampled_from(list(FORMATS)),
    st.sampled_from(["glider", "gosper-glider-gun", "growing-line", "acorn"]),
    WOUNDS,
)
def test_a_damaged_file_is_read_or_refused(
    reader: Callable[..., Pattern], name: str, wounds: list[tuple[int, int, bytes]]
) -> None:
    data = bytearray(FORMATS[reader](classic(name)).encode())
    for place, removed, splinter in wounds:
        at = place % (len(data) + 1)
        data[at : at + removed] = splinter
    try:
        pattern = reader(bytes(data), source="damaged")
    except PatternError as found:
        error = found
    except PatternSizeError:
        return
    else:
        assert read_rle(write_rle(pattern)) == pattern
        return
    assert str(error).startswith(f"damaged, line {error.line}, column {error.column}: ")
    assert 1 <= error.line <= bytes(data).replace(b"\r", b"\n").count(b"\n") + 1
