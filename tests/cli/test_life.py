"""``aconcur life``: on a terminal of its own, into files, and as lines of JSON."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import NamedTuple

import pytest
from PIL import Image

from aconcur.cli import main
from aconcur.life import (
    Bounds,
    Grid,
    Pattern,
    View,
    classic,
    classics,
    draw,
    make_engine,
    read,
    write,
)
from tests.support.pseudo_terminal import PseudoTerminal, open_pseudo_terminal

LIFE = [sys.executable, "-m", "aconcur", "life"]
ENTERED, LEFT = "\x1b[?1049h", "\x1b[?1049l"
SMALL = ("r-pentomino", "--torus", "20x40", "--engine", "bigint")


class Done(NamedTuple):
    code: int
    stdout: str
    stderr: str


def life(*arguments: str | Path) -> Done:
    """Run the command in this process, which spares a second for its imports."""
    code, out, err = 0, StringIO(), StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        try:
            main(["life", *map(str, arguments)])
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
    return Done(code, out.getvalue(), err.getvalue())


def lived(name: str, number: int, bounds: Bounds | None = None) -> Grid:
    engine = make_engine(classic(name).inside(bounds), engine="bigint" if bounds else "hashlife")
    engine.step(number)
    return engine.snapshot()


def number_in(picture: list[str]) -> int:
    found = re.search(r"generation (\d+)", picture[-1])
    assert found is not None
    return int(found[1])


def paused(terminal: PseudoTerminal) -> list[str]:
    terminal.press(" ")
    return terminal.wait_for_picture("paused")


def test_a_terminal_shows_generations_until_q() -> None:
    with open_pseudo_terminal(*LIFE, *SMALL) as terminal:
        terminal.wait_for_picture("generation 3 ")
        assert terminal.settings() != terminal.before
        picture = paused(terminal)
        grid = lived("r-pentomino", number_in(picture), Bounds("torus", 20, 40))
        assert picture[:-1] == draw(grid, View.fit(grid, 11, 100))
        assert "R-pentomino · torus 20×40 B3/S23 · generation " in picture[-1]
        assert f" · {grid.population} cells · paused" in picture[-1]
        terminal.press("q")
        assert terminal.wait_for_end() == 0
        assert terminal.screen.endswith(f"\x1b[?25h{LEFT}")
        assert terminal.settings() == terminal.before


def test_keys_step_zoom_move_and_hurry() -> None:
    with open_pseudo_terminal(*LIFE, *SMALL) as terminal:
        terminal.wait_for_picture("generation 1 ")
        number = number_in(paused(terminal))
        for step in (1, 2):
            terminal.press("n")
            terminal.wait_for_picture(f"generation {number + step} ")
        grid = lived("r-pentomino", number + 2, Bounds("torus", 20, 40))
        view = View.fit(grid, 11, 100)
        for key, expected in (
            ("i", view.zoomed(1)),
            ("o", view),
            ("\x1b[A", view.moved(-1, 0)),
            ("\x1b[C", view.moved(-1, 0).moved(0, 1)),
            ("\x1bOB", view.moved(-1, 0).moved(0, 1).moved(1, 0)),
            ("f", view),
        ):
            terminal.press(key)
            assert terminal.wait_for_picture("paused")[:-1] == draw(grid, expected), key
        terminal.press("+++ ")
        terminal.wait_for_picture("128/s")
        terminal.press("----")
        terminal.wait_for_picture(" 8/s")


def test_fills_the_terminal_when_its_size_changes() -> None:
    with open_pseudo_terminal(*LIFE, *SMALL) as terminal:
        terminal.wait_for_picture("generation 1 ")
        paused(terminal)
        terminal.resize(30, 60)
        terminal.screen = ""
        terminal.wait_for(lambda: len(terminal.picture()) == 30)
        assert {len(line) for line in terminal.picture()} == {60}


def test_the_last_generation_stays() -> None:
    with open_pseudo_terminal(*LIFE, "glider", "--generations", "4") as terminal:
        assert number_in(terminal.wait_for_picture(" end ")) == 4
        terminal.press("q")
        assert terminal.wait_for_end() == 0


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [("SIGINT", 130, "aconcur: interrupted"), ("SIGTERM", 143, "aconcur: terminated")],
)
@pytest.mark.parametrize("resting", [False, True])
def test_interrupted_it_gives_the_terminal_back(
    name: str, code: int, said: str, resting: bool
) -> None:
    with open_pseudo_terminal(*LIFE, *SMALL) as terminal:
        terminal.wait_for_picture("generation 1 ")
        if resting:
            paused(terminal)
        if name == "SIGINT":
            terminal.press("\x03")
        else:
            os.kill(terminal.process.pid, signal.SIGTERM)
        assert terminal.wait_for_end() == code
        assert terminal.screen.endswith(f"{LEFT}{said}\r\n")
        assert terminal.settings() == terminal.before


def test_an_error_gives_the_terminal_back() -> None:
    program = (
        "import sys\n"
        "from aconcur.cli import main\n"
        "from aconcur.cli.life.player import Player\n"
        "def fail(*_):\n"
        "    raise OSError('no more')\n"
        "Player.show = fail\n"
        "main(sys.argv[1:])\n"
    )
    with open_pseudo_terminal(sys.executable, "-c", program, "life", *SMALL) as terminal:
        assert terminal.wait_for_end() == 1
        assert ENTERED in terminal.screen
        assert terminal.screen.endswith(f"{LEFT}aconcur: no more\r\n")
        assert terminal.settings() == terminal.before


def test_ctrl_z_lends_the_terminal_to_the_shell() -> None:
    with open_pseudo_terminal(*LIFE, *SMALL) as terminal:
        terminal.wait_for_picture("generation 1 ")
        terminal.press("\x1a")
        _, status = os.waitpid(terminal.process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        assert terminal.settings() == terminal.before
        os.kill(terminal.process.pid, signal.SIGCONT)
        terminal.wait_for_picture("generation")
        assert terminal.settings() != terminal.before
        terminal.press("q")
        assert terminal.wait_for_end() == 0


def test_without_a_terminal_each_generation_is_a_line_of_json() -> None:
    done = life("glider", "--generations", "8", "--every", "4")
    assert (done.code, done.stderr) == (0, "")
    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        {"generation": n, "population": 5, "top": at, "left": at, "height": 3, "width": 3}
        for n, at in ((0, 0), (4, 1), (8, 2))
    ]


def test_a_reader_that_leaves_ends_it_quietly() -> None:
    done = subprocess.run(
        f"{sys.executable} -m aconcur life acorn --generations 10000000 | head -n 2",
        shell=True,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert len(done.stdout.splitlines()) == 2
    assert done.stderr == ""


@pytest.mark.parametrize("where", [("--torus", "40x30"), ("--box", "40x30"), ("--plane",)])
def test_options_set_the_rule_and_the_field(where: tuple[str, ...]) -> None:
    done = life("replicator", "--generations", "60", "--every", "60", "--rule", "highlife", *where)
    last = json.loads(done.stdout.splitlines()[-1])
    bounds = Bounds("torus" if where[0] == "--torus" else "box", 40, 30)
    grid = lived("replicator", 60, bounds if len(where) > 1 else None)
    assert (last["population"], last["height"]) == (grid.population, grid.height)


def test_a_file_says_where_it_lives(tmp_path: Path) -> None:
    write(classic("glider").inside(Bounds("torus", 8, 9)), tmp_path / "a.rle")
    done = life(tmp_path / "a.rle", "--generations", "0")
    line = json.loads(done.stdout)
    assert (line["height"], line["width"]) == (8, 9)


def test_a_generation_of_any_size_is_written_as_macrocell(tmp_path: Path) -> None:
    options = ("gosper-glider-gun", "--generations", str(30 * 10**12), "--to")
    assert life(*options, tmp_path / "gun.mc.gz").code == 0
    assert read(tmp_path / "gun.mc.gz").population == 36 + 5 * 10**12
    assert life(tmp_path / "gun.mc.gz", "--generations", "30", "--to", tmp_path / "b.mc").code == 0
    assert read(tmp_path / "b.mc").population == 36 + 5 * (10**12 + 1)
    done = subprocess.run(
        [*LIFE, *options, tmp_path / "gun.rle"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert re.match(r"aconcur: a grid of \d+ × \d+ cells is too large to lay out: ", done.stderr)
    assert "write macrocell (.mc)" in done.stderr


def test_a_bounded_field_is_counted_drawn_and_written_where_the_file_says(tmp_path: Path) -> None:
    """A blinker in the top row of a box loses a cell to the edge."""
    (tmp_path / "a.rle").write_text("#CXRLE Pos=-1,-2\nx = 3, y = 1, rule = B3/S23:p5, 5\n3o!\n")
    lines = life(tmp_path / "a.rle", "--generations", "2").stdout.splitlines()
    assert [json.loads(line)["population"] for line in lines] == [3, 2, 0]
    assert life(tmp_path / "a.rle", "--to", tmp_path / "a.png", "--scale", "1").code == 0
    with Image.open(tmp_path / "a.png") as image:
        assert image.size == (5, 5)
        assert [x for x in range(5) if image.convert("L").getpixel((x, 0)) > 128] == [1, 2, 3]  # type: ignore[operator]
    for suffix in ("rle", "mc", "rle.gz"):
        path = tmp_path / f"b.{suffix}"
        assert life(tmp_path / "a.rle", "--generations", "1", "--to", path).code == 0
        assert sorted(read(path).cells()) == [(0, 2), (1, 2)]


@pytest.mark.parametrize("suffix", ["rle", "mc", "cells", "lif", "rle.gz"])
def test_writes_a_generation_as_a_pattern(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    done = life("glider", "--generations", "40", "--to", path)
    assert done.code == 0, done.stderr
    assert set(read(path).at(10, 10).cells()) == set(classic("glider").at(10, 10).cells())
    if suffix != "cells":
        assert read(path).offset == (10, 10)


@pytest.mark.parametrize("suffix", ["rle", "mc"])
def test_words_rule_and_field_are_kept(tmp_path: Path, suffix: str) -> None:
    said = Pattern(
        classic("glider").cells(),
        "highlife",
        name="Nonesuch",
        author="Nobody",
        comments=["one", "two"],
        bounds=Bounds("torus", 8, 9),
    )
    write(said, tmp_path / "a.rle")
    assert life(tmp_path / "a.rle", "--to", tmp_path / f"b.{suffix}").code == 0
    kept = read(tmp_path / f"b.{suffix}")
    assert kept == said
    assert (
        life(tmp_path / "a.rle", "--to", tmp_path / f"b.{suffix}", "--generations", "4").code == 0
    )
    kept = read(tmp_path / f"b.{suffix}")
    assert (kept.name, kept.author, kept.comments) == (said.name, said.author, said.comments)
    assert (kept.rule, kept.bounds) == (said.rule, said.bounds)


def test_a_pattern_too_large_to_lay_out_changes_its_format(tmp_path: Path) -> None:
    (tmp_path / "a.rle").write_text("x = 0, y = 0, rule = B3/S23\n999999999999o!")
    done = life(tmp_path / "a.rle", "--to", tmp_path / "b.rle")
    assert (done.code, done.stderr) == (0, "")
    assert read(tmp_path / "b.rle") == read(tmp_path / "a.rle")


def test_a_pattern_may_come_out_of_a_pipe() -> None:
    done = subprocess.run(
        [*LIFE, "/dev/stdin", "--generations", "0"],
        input="bo$2bo$3o!",
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert json.loads(done.stdout)["population"] == 5, done.stderr


def test_a_directory_is_refused(tmp_path: Path) -> None:
    done = life(tmp_path)
    assert done.code == 2
    assert "is a directory, and there is no pattern" in done.stderr


@pytest.mark.parametrize(("suffix", "frames"), [("png", 1), ("apng", 11), ("gif", 11)])
@pytest.mark.parametrize(("where", "size"), [((), (8, 8)), (("--torus", "9x21"), (21, 9))])
def test_draws_generations(
    tmp_path: Path, suffix: str, frames: int, where: tuple[str, ...], size: tuple[int, int]
) -> None:
    path = tmp_path / f"a.{suffix}"
    options = ("--generations", "20", "--every", "2", "--scale", "2", *where)
    done = life("glider", *options, "--to", path)
    assert (done.code, done.stdout) == (0, "")
    assert done.stderr == ("" if frames == 1 else f"{frames} frames\n")
    with Image.open(path) as picture:
        assert getattr(picture, "n_frames", 1) == frames
        if frames > 1 or where:
            assert picture.size == (2 * size[0], 2 * size[1])


def test_a_pattern_larger_than_a_screen_is_cropped_with_a_note(tmp_path: Path) -> None:
    done = life("glider", "--generations", "8000", "--every", "8000", "--to", tmp_path / "a.apng")
    assert done.code == 0
    assert done.stderr.startswith(
        "the pattern grows to 2003 × 2003 cells: the picture shows 1024 × 1024 of them\n"
    )


def test_list_prints_every_name() -> None:
    lines = life("--list").stdout.splitlines()
    assert [line.split()[0] for line in lines] == list(classics())
    assert "gosper-glider-gun  Gun of period 30: a glider, five cells, each time." in lines


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ([], "name a FILE or a pattern; --list shows the patterns"),
        (["glidr"], "'glidr' is not a file, and there is no pattern 'glidr'; known: glider"),
        (["glider", "--rule", "B9"], "rule 'B9' asks for 9 live neighbours"),
        (["glider", "--torus", "8"], "--torus must be HEIGHTxWIDTH, like 64x64, not '8'"),
        (["glider", "--generations", "-1"], "--generations must be at least 0, not -1"),
        (["glider", "--every", "0"], "--every must be at least 1, not 0"),
        (["glider", "--to", "a.jpg"], "--to must end in one of .png, .gif, .apng"),
        (["glider", "--scale", "65", "--to", "a.png"], "--scale must be at most 64, not 65"),
        (["glider", "--ms", "65536", "--to", "a.gif"], "--ms must be at most 65535, not 65536"),
        (["glider", "--play", "--to", "a.png"], "--play shows and --to writes"),
        (["glider", "--play"], "--play needs a terminal at stdin and stdout"),
        (["glider", "--torus", "8x8", "--plane"], "not allowed with"),
        (["glider", "--torus", "8x8", "--engine", "hashlife"], "on a torus the engine is one of"),
    ],
)
def test_a_wrong_command_line_is_refused(arguments: list[str], why: str) -> None:
    done = life(*arguments)
    assert done.code == 2
    assert why in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("text", "arguments", "why"),
    [
        ("bo$2z!", [], "line 1, column 5: 'z' is not a count, a cell"),
        ("9o!", ["--torus", "8x8"], "does not fit into 8 × 8 cells"),
        ("x = 1, y = 1, rule = B0/S\no!", [], "brings the whole empty plane to life"),
        ("o!", ["--to", "absent/a.png"], "No such file or directory: 'absent/a.png'"),
        ("o!", ["--torus", "99999999999x99999999999"], "cells is too large to lay out"),
    ],
)
def test_a_failure_is_one_line_without_a_traceback(
    tmp_path: Path, text: str, arguments: list[str], why: str
) -> None:
    (tmp_path / "a.rle").write_text(text)
    done = subprocess.run(
        [*LIFE, tmp_path / "a.rle", *arguments],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("aconcur: ")
    assert why in done.stderr
    assert done.stderr.count("\n") == 1


def test_too_little_memory_is_said_without_a_traceback() -> None:
    code = (
        "import aconcur.cli.life as life\n"
        "def fail(*_, **__):\n"
        "    raise MemoryError\n"
        "life.simulate = fail\n"
        "from aconcur.cli import main\n"
        "main(['life', 'glider'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 1
    assert done.stderr == "aconcur: there is not enough memory for this\n"
