"""Read and write pattern files.

``files`` has the doors: ``read`` finds out the format and calls its reader, ``write`` chooses the
writer by the file's ending and replaces the file atomically. Each other module knows one format:

===========
========================================================================================== rle
run-length encoding, the usual format; ``rle_body`` reads its cells macrocell   quadtrees, Golly's
format for patterns of any size plaintext   pictures of ``O`` and ``.`` life105     blocks of
pictures with coordinates (read only) life106     a list of coordinates ===========
==========================================================================================

``parsing`` holds what they share: decoding, numbers, and the notation of rules and fields.

Coordinates. In files, as in Golly, (0, 0) of a bounded field is the cell in its middle,
``Bounds.middle``. In a ``Pattern`` it is the top left cell of the field, as in the grids of an
engine. Readers add the middle and writers subtract it; nothing else knows the difference.

Invariants:

* ``read(write(pattern))`` is equal to the pattern, for RLE and macrocell with every field, and for
  the others up to the loss that the writer's docstring states.
* A reader either returns a pattern or raises ``PatternError`` with line and column, never another
  error, whatever the text is; the tests damage files at random.
* Reading takes memory in proportion to the text, not to the numbers in it: a count or coordinate of
  any size is compared before it is used. Sizes beyond 2⁶¹ are refused where they stand in the file.
* A pattern that is too large to lay out is read from macrocell as a quadtree, and written from it.

Why not a parser generator: the formats are line by line, the errors have to name a column, and RLE
has to be read at some 100 MB/s. ``rle_body`` reads with numpy if it is worth it, otherwise with
``split`` and ``translate``; both only notice that something is wrong, and a slow third way says
what and where. Every way gives the same result, which the tests check.

The writers use names, rules and comments only as single lines; ``Pattern`` checks that. A letter
after ``#`` has a meaning only if a space follows, so that ``#Next`` is a comment and not the name
"ext".
"""
