from __future__ import annotations

from pathlib import Path

import pytest

from aconcur.life import Pattern, PatternError, read, write

GLIDER = Pattern([(0, 1), (1, 2), (2, 0), (2, 1), (2, 2)])


_NO_END = "9" * 5000


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
def test_a_number_without_end_is_refused_where_it_stands(
    name: str, text: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(PatternError, match=rf"{name}, line \d, column \d"):
        read(tmp_path / name)


@pytest.mark.parametrize("suffix", [".rle", ".RLE", ".cells", ".mc", ".lif", ".life"])
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


def test_life_106_is_known_by_its_first_line(tmp_path: Path) -> None:
    path = tmp_path / "glider.rle"
    path.write_text("#Life 1.06\n1 0\n2 1\n0 2\n1 2\n2 2\n")
    assert read(path) == GLIDER


def test_errors_name_the_file(tmp_path: Path) -> None:
    path = tmp_path / "bad.rle"
    path.write_text("bo$z!")
    with pytest.raises(PatternError, match=r"bad\.rle, line 1, column 4: 'z'"):
        read(path)
    path.write_bytes(b"\x89PNG\0")
    with pytest.raises(PatternError, match=r"this is no text"):
        read(path)
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "absent.rle")


def test_an_unknown_ending_is_no_format_to_write(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"'glider.txt' must end in one of .rle, .cells"):
        write(GLIDER, tmp_path / "glider.txt")
    assert not list(tmp_path.iterdir())
