"""The Game of Life, and every other rule of its kind.

==================  ===========================================================
:class:`Rule`       which cells live next: ``Rule("B3/S23")``
:class:`Grid`       a generation as a value
:class:`Pattern`    live cells with a name, a rule and comments: what files hold
:func:`read`        a pattern from a file: RLE, .cells, Life 1.06, macrocell
:func:`classic`     a pattern that everybody knows: ``classic("gosper-glider-gun")``
:func:`draw`        the lines of text that a :class:`View` shows
:func:`animate`     generations as an animated PNG or GIF; :func:`write_png` one of them
:func:`simulate`    ``async for generation in simulate(grid)``, beside other tasks
:func:`generations` the same of an engine of your own, populations alone
:func:`cycle`       when everything begins to repeat
:func:`make_engine` big integers, numpy, numba or HashLife
==================  ===========================================================
"""

__all__ = (
    "LIFE",
    "NAMED_RULES",
    "Bounds",
    "Census",
    "Censuses",
    "Cycle",
    "Engine",
    "EngineName",
    "Generation",
    "Grid",
    "GridTooLargeError",
    "Look",
    "Pattern",
    "PatternError",
    "PatternSizeError",
    "PausingEngine",
    "Rule",
    "RuleError",
    "Simulation",
    "Topology",
    "UnboundedRuleError",
    "UnknownPatternError",
    "View",
    "animate",
    "classic",
    "classics",
    "cut",
    "cycle",
    "draw",
    "generations",
    "make_engine",
    "read",
    "read_cells",
    "read_life106",
    "read_macrocell",
    "read_rle",
    "simulate",
    "write",
    "write_cells",
    "write_life106",
    "write_macrocell",
    "write_png",
    "write_rle",
)

from aconcur.life._animate import animate as animate
from aconcur.life._animate import write_png as write_png
from aconcur.life._classics import classic as classic
from aconcur.life._classics import classics as classics
from aconcur.life._cycle import Cycle as Cycle
from aconcur.life._cycle import cycle as cycle
from aconcur.life._engine import Engine as Engine
from aconcur.life._engine import PausingEngine as PausingEngine
from aconcur.life._engine import Topology as Topology
from aconcur.life._engines import EngineName as EngineName
from aconcur.life._engines import make_engine as make_engine
from aconcur.life._errors import PatternError as PatternError
from aconcur.life._errors import PatternSizeError as PatternSizeError
from aconcur.life._errors import RuleError as RuleError
from aconcur.life._errors import UnboundedRuleError as UnboundedRuleError
from aconcur.life._errors import UnknownPatternError as UnknownPatternError
from aconcur.life._files import read as read
from aconcur.life._files import write as write
from aconcur.life._grid import Grid as Grid
from aconcur.life._life106 import read_life106 as read_life106
from aconcur.life._life106 import write_life106 as write_life106
from aconcur.life._macrocell import read_macrocell as read_macrocell
from aconcur.life._macrocell import write_macrocell as write_macrocell
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
from aconcur.life._simulate import Census as Census
from aconcur.life._simulate import Censuses as Censuses
from aconcur.life._simulate import Generation as Generation
from aconcur.life._simulate import Simulation as Simulation
from aconcur.life._simulate import generations as generations
from aconcur.life._simulate import simulate as simulate
from aconcur.life._source import GridTooLargeError as GridTooLargeError
from aconcur.life._view import View as View
from aconcur.life._view import draw as draw
from aconcur.life._window import cut as cut
