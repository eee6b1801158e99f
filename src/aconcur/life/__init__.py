"""The Game of Life, and every other rule of its kind.

==================  ===========================================================
:class:`Rule`       which cells live next: ``Rule("B3/S23")``
:class:`Grid`       a generation as a value
:class:`Pattern`    live cells with a name, a rule and comments: what files hold
:func:`read`        a pattern from a file: RLE, .cells, Life 1.06
:func:`classic`     a pattern that everybody knows: ``classic("gosper-glider-gun")``
:func:`draw`        the lines of text that a :class:`View` shows
:func:`animate`     generations as an animated PNG or GIF; :func:`write_png` one of them
==================  ===========================================================
"""

__all__ = (
    "LIFE",
    "NAMED_RULES",
    "Bounds",
    "Engine",
    "Grid",
    "GridTooLargeError",
    "Look",
    "Pattern",
    "PatternError",
    "PatternSizeError",
    "Rule",
    "RuleError",
    "Topology",
    "UnknownPatternError",
    "View",
    "animate",
    "classic",
    "classics",
    "cut",
    "draw",
    "read",
    "read_cells",
    "read_life106",
    "read_rle",
    "write",
    "write_cells",
    "write_life106",
    "write_png",
    "write_rle",
)

from aconcur.life._animate import animate as animate
from aconcur.life._animate import write_png as write_png
from aconcur.life._classics import classic as classic
from aconcur.life._classics import classics as classics
from aconcur.life._engine import Engine as Engine
from aconcur.life._engine import Topology as Topology
from aconcur.life._errors import PatternError as PatternError
from aconcur.life._errors import PatternSizeError as PatternSizeError
from aconcur.life._errors import RuleError as RuleError
from aconcur.life._errors import UnknownPatternError as UnknownPatternError
from aconcur.life._files import read as read
from aconcur.life._files import write as write
from aconcur.life._grid import Grid as Grid
from aconcur.life._grid import GridTooLargeError as GridTooLargeError
from aconcur.life._life106 import read_life106 as read_life106
from aconcur.life._life106 import write_life106 as write_life106
from aconcur.life._pattern import Bounds as Bounds
from aconcur.life._pattern import Pattern as Pattern
from aconcur.life._picture import Look as Look
from aconcur.life._plaintext import read_cells as read_cells
from aconcur.life._plaintext import write_cells as write_cells
from aconcur.life._rle import read_rle as read_rle
from aconcur.life._rle import write_rle as write_rle
from aconcur.life._rule import LIFE as LIFE
from aconcur.life._rule import NAMED_RULES as NAMED_RULES
from aconcur.life._rule import Rule as Rule
from aconcur.life._view import View as View
from aconcur.life._view import draw as draw
from aconcur.life._window import cut as cut
