"""The engines for bounded fields, and what all engines share.

An **engine** holds one generation and computes later ones: ``step(n)`` changes it in place,
``snapshot()`` returns a grid that stays as it is. An engine belongs to one user at a time and has
no locks. It knows nothing of event loops; ``life._driver`` decides how many generations to ask for
at a time, and whether in a thread.

Three engines compute a torus or a box, and all of them work on many cells with one operation:

========= ======================================================================================
bigint    one Python integer for all cells, shifted by a row or a column; standard library only
numpy     64 cells a word, in stripes; one numpy call per gate and block of rows
numba     the same words, in a compiled loop that keeps sums in registers and releases the GIL
========= ======================================================================================

How one generation is computed, in all of them:

1. *Ghost cells.* A border of one cell around the field repeats the cells across the edges (torus),
   or stays dead (box). After that, no operation needs to know about edges.
2. *Sums.* Three cells of a row are added to two binary digits (ones, twos), by bit operations on
   all columns at once. Adding three rows gives the number of live cells in each 3 × 3 block, the
   cell itself included, as four digits.
3. *Rule.* ``circuit`` turns a rule into gates (and, or, xor) from these digits and the cell to the
   next state. It searches, once for each rule, for a circuit with few gates, because each gate is a
   pass over all cells. Conway's rule takes 18 gates with the sums included.

*Stripes* (``stripes``) are the layout of the two faster engines. Sixty-four neighbouring cells of a
row in one word would need shifts with carries between words for every neighbour. Instead the field
is cut into 64 stripes of rows, and bit b of a word belongs to stripe b, so that the neighbours of
64 cells are whole words: the word to the left, the word above. Only the ghost rows need a shift,
because there one stripe meets the next.

Invariants: ``step(n)`` is equal to n times ``step(1)``; equal generations have equal ``state()``; a
snapshot never changes. Every engine agrees with the definition of the rule cell by cell, which the
tests check for many sizes and rules.

*Compiling* (``compilation``, ``njit``): numba takes seconds to compile a kernel, once on a machine,
and nothing can interrupt it. An engine that needs it names a ``Compilation``, a value; the driver
runs it in a thread of its own that outlives a cancelled waiter, and equal compilations run once.

numba is not the only engine because it is large and optional, and because below some 10⁴ cells
importing it costs more than the big integer ever will. ``life._make_engine`` chooses, by measured
sizes.
"""
