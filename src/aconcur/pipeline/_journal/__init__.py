"""Journals: which items of a run are done, recorded in a file, so that the run can be resumed.

Calls
    ``journal.open_journal`` opens the file (``store``), starts the thread that writes it
    (``writer``) and makes the ``tracking.JournalTracker`` of the run. The run asks the tracker to
    admit each item of the source; the stages pass what the tracker gave them and tell it what
    became of it. ``journal.Journal`` is the public value; it also reads the file by itself.

States of an item in the file
    absent → *done*, *failed* or *again* (failed, and the next run tries it again). *again* → *done*
    or *failed*. *done* is final; *failed* becomes *again* only by ``Journal.retry``.

Invariants
    1. An item of the source is a ``SourceItem``. Whatever it becomes on its way is carried by a
       ``Carrier`` that refers to it. Functions, errors and failures see items, never carriers.
    2. A source item is done when all that it became has left the last stage or was filtered, and
       nothing of it failed. That is recorded in the same step, before the consumer can have the
       last result; so a result that was seen is never lost, except for the last 20 ms before a
       power failure or a kill, which are done again.
    3. Records are written in transactions by one thread. The loop never waits for the disk, unless
       20 000 records are behind. When the block is left, the thread has ended, and every record is
       written or the run has failed with JournalError.
    4. Rows of *done* are only ever appended, without an index: keys in random order would make an
       index slow. A run reads all keys when it begins and admits none twice.
    5. The writer holds a lock that ends with its process: SQLite's own, on a file beside the
       journal. A forked child does not inherit it, and readers need none.
    6. What ``collect`` returns for an item is what its file says, in this run and the next.

Why not the obvious way
    A commit for each item takes 0.1 to 1 ms; gathered for 20 ms it costs 4 µs an item. A text file
    of finished keys (as many scripts do it) is torn by a kill and does not know what failed.
    ``await``-ing the write of each item before the next stage would tie the run to the disk.
"""
