"""Fields whose edges are joined in other ways than a plain torus's."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from random import Random

import pytest

from aconcur.life import (
    Bounds,
    EngineName,
    Grid,
    Pattern,
    Rule,
    classic,
    cycle,
    make_engine,
    read,
    simulate,
    write,
)
from tests.support.life import by_the_book, on_surface

SURFACES = [
    Bounds("torus", 5, 7, "", 2),
    Bounds("torus", 5, 7, "", -3),
    Bounds("torus", 6, 4, "", 0, 1),
    Bounds("torus", 1, 4, "", 1),
    Bounds("klein", 5, 7, "x"),
    Bounds("klein", 5, 7, "y"),
    Bounds("klein", 4, 6),
    Bounds("klein", 5, 6, "x", 1),
    Bounds("klein", 6, 5, "y", 0, 1),
    Bounds("klein", 1, 1, "x"),
    Bounds("cross", 4, 7),
    Bounds("cross", 1, 5),
    Bounds("sphere", 6, 6),
    Bounds("sphere", 1, 1),
]


@pytest.mark.parametrize("bounds", SURFACES, ids=str)
@pytest.mark.parametrize("rule", ["B3/S23", "B2/S", "B0123478/S01234678"])
def test_every_surface_agrees_with_its_definition(bounds: Bounds, rule: str) -> None:
    for seed in range(5):
        grid = Grid.random(bounds.height, bounds.width, seed=seed)
        engine = make_engine(Pattern.from_grid(grid, rule, bounds=bounds))
        assert (engine.snapshot(), engine.population) == (grid, grid.population)
        for n in (1, 2):
            engine.step(n)
            grid = on_surface(grid, Rule(rule), bounds, n)
            assert (engine.snapshot(), engine.population) == (grid, grid.population)


def test_the_reference_of_surfaces_is_that_of_a_torus_without_shift() -> None:
    grid = Grid.random(6, 9, seed=1)
    assert on_surface(grid, Rule("life"), Bounds("torus", 6, 9)) == by_the_book(grid, Rule("life"))


async def test_a_glider_comes_back_mirrored_from_a_klein_bottle() -> None:
    glider = classic("glider").inside(Bounds("klein", 12, 12, "x"))
    assert await cycle(glider) == (0, 2 * 12 * 4, 0, 0)
    assert await cycle(glider.inside(Bounds("torus", 12, 12))) == (0, 12 * 4, 0, 0)


async def test_a_grid_lives_on_any_surface() -> None:
    grid = Grid.random(8, 8, seed=2)
    for topology in ("klein", "cross", "sphere"):
        bounds = Bounds(topology, 8, 8)
        seen = [each.grid async for each in simulate(grid, stop=3, topology=topology)]
        assert seen == [on_surface(grid, Rule("life"), bounds, n) for n in range(4)]


@pytest.mark.parametrize("engine", ["numpy", "numba", "hashlife"])
def test_only_big_integers_know_them(engine: EngineName) -> None:
    pattern = classic("glider").inside(Bounds("torus", 9, 9, "", 1))
    with pytest.raises(ValueError, match=r"on a torus like Bounds\(.* the engine is one of"):
        make_engine(pattern, engine=engine)
    make_engine(pattern, engine="bigint")


@pytest.mark.parametrize(
    ("bounds", "why"),
    [
        (Bounds("sphere", 3, 4), "a sphere must be as high as it is wide"),
        (Bounds("plane", 3, 4), "the plane has no bounds: use None"),
        (Bounds("torus", 0, 4), "a field's height must be at least 1, not 0"),
        (Bounds("box", 3, 4, "", 1), "only a torus or a Klein bottle can have a shift"),
        (Bounds("torus", 3, 4, "x"), "only a Klein bottle has a twist"),
        (Bounds("torus", 3, 4, "", 1, 1), "only one pair of edges can be shifted"),
        (Bounds("klein", 3, 4, "x", 2), "the shift of a Klein bottle is 0 or 1"),
        (Bounds("klein", 3, 4, "x", 0, 1), "must be on the twisted edges"),
    ],
)
def test_a_field_that_does_not_exist_is_refused(bounds: Bounds, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Pattern(bounds=bounds)
    with pytest.raises(ValueError, match=why):
        classic("glider").inside(bounds)


def test_a_sphere_needs_a_square_grid() -> None:
    with pytest.raises(ValueError, match="a sphere must be as high as it is wide"):
        make_engine(Grid(3, 4), topology="sphere")


@pytest.mark.skipif(shutil.which("bgolly") is None, reason="Golly's bgolly is not installed")
@pytest.mark.parametrize("suffix", [".rle", ".mc", ".rle.gz"])
def test_golly_agrees_on_random_fields(tmp_path: Path, suffix: str) -> None:
    chance = Random(suffix)
    for number in range(40):
        height, width = chance.randint(1, 12), chance.randint(1, 12)
        bounds = chance.choice(
            [
                Bounds("box", height, width),
                Bounds("torus", height, width),
                Bounds("torus", height, width, "", chance.randrange(width)),
                Bounds("torus", height, width, "", 0, -chance.randrange(height)),
                Bounds("klein", height, width, "x" if number % 2 else "y"),
                Bounds("cross", height, width),
                Bounds("sphere", height, height),
            ]
        )
        grid = Grid.random(bounds.height, bounds.width, density=0.4, seed=number)
        path = tmp_path / f"{number}{suffix}"
        write(Pattern.from_grid(grid, bounds=bounds), path)
        engine, populations = make_engine(read(path)), []
        assert engine.snapshot() == grid
        for _ in range(7):
            populations.append(engine.population)
            engine.step()
        assert populations == golly(path, 6), bounds


def golly(path: Path, generations: int) -> list[int]:
    """Return the populations of a file's generations in Golly."""
    hashing = ["--hashlife"] if ".mc" in path.name else []
    arguments = ["bgolly", *hashing, "-m", str(generations), "-i", "1", str(path)]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    return [int(found) for found in re.findall(r"^\d+: (\d+)$", done.stdout, re.MULTILINE)]
