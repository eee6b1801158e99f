"""HashLife: an engine for the unbounded plane that computes equal squares once.

Source: R. W. Gosper, "Exploiting regularities in large cellular spaces", Physica D 10 (1984).

The plane is a **quadtree** around the origin. A node of level k is a square of ``2 ** k`` cells a
side and consists of four nodes of level k - 1, or is a **leaf** with the bits of its cells. Equal
squares are one node (hash consing), so a pattern with regular parts needs few nodes however large
it is.

The middle half of a node, ``2 ** j`` generations later (``j <= k - 2``), depends on the node alone,
because nothing moves faster than one cell a generation. That middle is computed once for each node
and remembered (its **memo**). It is put together from the middles of nine overlapping squares of
half the side, down to four leaves, which are advanced as a block of bits. A **leap** advances the
root: first grow it until no live cell can leave the middle, then take the root's middle.

Two implementations offer the same interface (``plane.Plane``), and ``engine.HashLife`` drives
either:

* ``quadtree``: nodes are Python objects in a dict. It needs the standard library only and holds the
  GIL. Its leaves of 32 × 32 cells are advanced by the big integer engine's compiled step.
* ``node_tables``: nodes are rows of four words in arrays, named by index, and kernels compiled by
  numba work on them without the GIL, some thirty times as fast. ``node_layout`` describes the
  arrays, ``tables`` owns them, ``node_kernel`` leaps, ``table_kernel`` copies and counts, and
  ``leaf_kernel`` advances leaves of 16 × 16 cells.

What both have in common: ``build`` turns a pattern into a tree through the protocol ``NodeFactory``
(the macrocell writer uses it too), and ``snapshot`` reads cells from a tree.

States of a leap, ``plane.Outcome``: DONE; LATE, when its time is up, and all memos are kept, so
that the same leap later continues where it stopped; FULL, when there is no room for more nodes, and
the engine tries two leaps of half the length.

Invariants:

* A node never changes, and has lower numbers (or existed earlier) than every node above it.
* A snapshot keeps the tables or nodes that were current when it was taken, and stays valid
  whatever the engine does next.
* Memory is bounded: 256 MiB for nodes, twice that while what is still needed is copied to new
  tables. Then the memos of dropped nodes are lost and have to be computed again.
* An interrupted leap has advanced nothing: the root changes only when a leap is DONE.

The compiled form uses an explicit stack in an array instead of recursion, and tables instead of
objects, so that it can stop after any number of steps, at any depth, and continue in larger tables.
"""
