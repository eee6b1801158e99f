"""The values of Life: rules, grids, patterns, and the forms in which their cells are kept.

A **grid** is one generation: a rectangle in which every cell, dead or alive, has a place. A
**pattern** is a set of live cells anywhere on the plane, with the rule and the field that they are
meant for and what its author wrote about it. Engines start from either and return grids.

There are three forms of cells, each for one purpose:

* *Bits*: one Python integer for a whole grid, where bit ``y * width + x`` is row y, column x
  (``bit_layout``, ``bit_rows``). It costs an eighth of a byte a cell, it is hashable and comparable
  at the speed of memory, and it needs no extra package. A list of lists would cost 500 times that;
  a numpy array would make numpy a requirement.
* *Runs*: three arrays of 64-bit integers (row, first column, length) for a pattern (``row_runs``).
  They cost 24 bytes a run however long it is: RLE files may contain a row of 10¹² cells.
* *Sources*: an engine's own form, not laid out yet (``source``). A grid made of a source lays the
  cells out when they are first read, and remembers them. That is why taking a snapshot is cheap,
  and why a pattern of 2⁴⁰ cells on a side can be counted and drawn but not laid out.

Invariants:

* Every value is immutable, hashable by its cells, and can be pickled. A grid with a source is no
  exception, because a source never changes; two threads that lay out the same grid do the work
  twice and store equal results.
* Runs are canonical: sorted by row and column, not empty, and no run begins where another ends. So
  two patterns are equal exactly if their arrays are.
* The coordinates of a pattern's cells reach to ±2⁶¹, so that the sum of two fits in a machine word.
* A grid's cells are laid out only if there are at most 2³³ of them; beyond that,
  :class:`GridTooLargeError` is raised before any memory is taken.
* A pattern that is meant for a torus or box has the coordinates of the grids that come of it: (0,
  0) is the field's top left cell. On the plane (0, 0) has no special meaning.

The arrows run one way: ``pattern`` uses ``grid``, ``rule``, ``field`` and ``row_runs``; ``grid``
uses ``bit_layout``, ``bit_rows``, ``arrays`` and ``source``. Nothing here knows an engine or a file
format. Where numpy is already imported, conversions use it, because it is some 10 times as fast;
where it is not, they never import it, because importing it takes longer than converting a small
pattern.
"""
