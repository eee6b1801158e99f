"""The state of the viewer: what it shows, and what each key does.

Nothing here knows a terminal or a clock: keys come in by name, and pictures go out as lines of
text.
"""

from __future__ import annotations

__all__ = ("Player",)

from typing import Final

from aconcur.life import Grid, View, draw

FRAMES: Final = 32
"""The most pictures a second."""
_FASTEST: Final = 40
_WAYS: Final = {"up": (-1, 0), "down": (1, 0), "left": (0, -1), "right": (0, 1)}
_KEYS: Final = "space pause · n step · + - speed · i o zoom · arrows move · f fit · q quit"


class Player:
    """The picture, its speed, and whether it is paused.

    Args:
        title: the begin of the last line.
        grid: the first generation.
        size: rows and columns of the terminal.
    """

    def __init__(self, title: str, grid: Grid, size: tuple[int, int]) -> None:
        self._title, self._grid, self._number = title, grid, 0
        self.view: View = View.fit(grid, *_above_status(size))
        self._columns = size[1]
        self.paused: bool = False
        self.quit: bool = False
        self.ended: bool = False
        self._speed = 4
        self._steps = 0

    @property
    def speed(self) -> int:
        """Generations a second."""
        return 1 << self._speed

    @property
    def generations(self) -> int:
        """The number of generations from this picture to the next; 0 while paused."""
        if self._steps:
            return self._steps
        if self.paused or self.ended:
            return 0
        return max(self.speed // FRAMES, 1)

    @property
    def seconds(self) -> float:
        """The shortest time that a picture is shown, in seconds."""
        return 1 / min(self.speed, FRAMES)

    def press(self, key: str) -> None:
        """Handle a key. Keys without a meaning do nothing."""
        match key:
            case " " | "p":
                self.paused = not self.paused
            case "n":
                self.paused = True
                self._steps += 1
            case "+" | "=":
                self._speed = min(self._speed + 1, _FASTEST)
            case "-":
                self._speed = max(self._speed - 1, 0)
            case "i" | "o":
                self.view = self.view.zoomed(1 if key == "i" else -1)
            case "up" | "down" | "left" | "right":
                self.view = self.view.moved(*_WAYS[key])
            case "f":
                self.view = View.fit(self._grid, self.view.rows, self.view.columns)
            case "q":
                self.quit = True
            case _:
                pass

    def resize(self, size: tuple[int, int]) -> None:
        """Adapt to another size of the terminal."""
        self.view = self.view.resized(*_above_status(size))
        self._columns = size[1]

    def show(self, number: int, grid: Grid) -> None:
        """Make this the generation that pictures show."""
        self._number, self._grid = number, grid
        self._steps = max(self._steps - 1, 0)

    def picture(self) -> list[str]:
        """Return the picture as lines of text, the status line last."""
        state = "end" if self.ended else "paused" if self.paused else f"{self.speed}/s"
        summary = f"{self._title} · generation {self._number} · {self._grid.population} cells"
        status = f"{summary} · {state} · {_KEYS}"
        return [*draw(self._grid, self.view), status[: self._columns]]


def _above_status(size: tuple[int, int]) -> tuple[int, int]:
    rows, columns = size
    return max(rows - 1, 1), columns
