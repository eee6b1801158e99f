"""Conway's Game of Life and all other rules with two states and eight neighbours.

==================  ============================================================================
:class:`Rule`       whether a cell lives next: ``Rule("B3/S23")``
:class:`Grid`       one generation as a value
:class:`Pattern`    live cells with a rule, a field, a name and comments: the content of a file
:func:`read`        read a file: RLE, macrocell, .cells, Life 1.05 and 1.06; :func:`write` one
:func:`classic`     a well-known pattern: ``classic("gosper-glider-gun")``
:func:`draw`        draw a :class:`View` as lines of text
:func:`animate`     write generations as animated PNG or GIF; :func:`write_png` writes one
:func:`simulate`    ``async for generation in simulate(grid)``, beside other tasks
:func:`generations` the same for an engine of your own, with populations only
:func:`cycle`       when a simulation begins to repeat itself
:func:`make_engine` an engine without an event loop: big integers, numpy, numba or HashLife
==================  ============================================================================

The theory of each part is in the docstring of its folder: ``_model`` (values), ``_engines``
(bounded fields), ``_hashlife`` (the plane), ``_formats`` (files), ``_images`` (pictures);
``_driver`` explains how an engine shares an event loop.
"""

__all__ = (
    "LIFE",
    "LONGEST_FRAME_MS",
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
    "Twist",
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
    "read_life105",
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

from aconcur.life._classics import classic as classic
from aconcur.life._classics import classics as classics
from aconcur.life._cycle import Cycle as Cycle
from aconcur.life._cycle import cycle as cycle
from aconcur.life._engines.base import Engine as Engine
from aconcur.life._engines.base import PausingEngine as PausingEngine
from aconcur.life._errors import GridTooLargeError as GridTooLargeError
from aconcur.life._errors import PatternError as PatternError
from aconcur.life._errors import PatternSizeError as PatternSizeError
from aconcur.life._errors import RuleError as RuleError
from aconcur.life._errors import UnboundedRuleError as UnboundedRuleError
from aconcur.life._errors import UnknownPatternError as UnknownPatternError
from aconcur.life._formats.files import read as read
from aconcur.life._formats.files import write as write
from aconcur.life._formats.life105 import read_life105 as read_life105
from aconcur.life._formats.life106 import read_life106 as read_life106
from aconcur.life._formats.life106 import write_life106 as write_life106
from aconcur.life._formats.macrocell import read_macrocell as read_macrocell
from aconcur.life._formats.macrocell import write_macrocell as write_macrocell
from aconcur.life._formats.plaintext import read_cells as read_cells
from aconcur.life._formats.plaintext import write_cells as write_cells
from aconcur.life._formats.rle import read_rle as read_rle
from aconcur.life._formats.rle import write_rle as write_rle
from aconcur.life._images.animate import LONGEST_FRAME_MS as LONGEST_FRAME_MS
from aconcur.life._images.animate import animate as animate
from aconcur.life._images.animate import write_png as write_png
from aconcur.life._images.look import Look as Look
from aconcur.life._make_engine import EngineName as EngineName
from aconcur.life._make_engine import make_engine as make_engine
from aconcur.life._model.field import Bounds as Bounds
from aconcur.life._model.field import Topology as Topology
from aconcur.life._model.field import Twist as Twist
from aconcur.life._model.grid import Grid as Grid
from aconcur.life._model.pattern import Pattern as Pattern
from aconcur.life._model.rule import LIFE as LIFE
from aconcur.life._model.rule import NAMED_RULES as NAMED_RULES
from aconcur.life._model.rule import Rule as Rule
from aconcur.life._model.window import cut as cut
from aconcur.life._simulate import Census as Census
from aconcur.life._simulate import Censuses as Censuses
from aconcur.life._simulate import Generation as Generation
from aconcur.life._simulate import Simulation as Simulation
from aconcur.life._simulate import generations as generations
from aconcur.life._simulate import simulate as simulate
from aconcur.life._view import View as View
from aconcur.life._view import draw as draw
