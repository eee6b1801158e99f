"""The queue: a bounded FIFO between tasks and threads that can be closed at either end.

Calls
    ``queue.Queue`` is the door. It holds a ``state.QueueState``, which owns the items, the waiting
    tasks and the reservations. ``thread_end.ThreadEnd`` works on the same state for threads, and
    ``aconcur.pipeline._sources.source.QueueSource`` for the workers of a pipeline.

States
    A queue is *open*, *closed* (``close()`` or the last ``producer()`` block ended: nothing can be
    put any more) or *abandoned* (the last ``consumer()`` block ended: nothing can be put until a
    new consumer comes). Items in it can be taken in every state.

Invariants
    1. An item stays in the deque until the step in which its getter returns. Nothing is handed
       over, so a cancelled getter has nothing to give back.
    2. To wake a getter is to reserve one item, to wake a putter is to reserve one slot. A newcomer
       does not touch what is reserved, so it cannot overtake.
    3. When a woken task is cancelled, its reservation is dropped and the next waiter is woken to
       look. The reservation does not move to it: among tasks whose timeouts are always over when
       they wake, it would circulate for ever.
    4. A getter waits only if every item is reserved or another task has been woken to look; a
       putter likewise. A waiter that wakes and finds nothing goes back to the front.
    5. Whatever can be cancelled comes before the deque is touched.
    6. Between two yields to other tasks at most ``STRIDE`` puts and gets succeed, in any mixture.
    7. Only the thread of the queue's loop touches the state. Threads touch the two boxes of their
       ``ThreadEnd``, under its lock.

Why not the obvious way
    ``asyncio.Queue`` hands nothing over either, but a getter that is woken and finds the item gone
    goes to the end of the line, and no reservation keeps newcomers away: order and fairness depend
    on timing. ``anyio.create_memory_object_stream`` hands the item to the receiver and must take
    care of it when that is cancelled. Both cost more (``python -m benchmarks.queue``).

The quick path
    ``put`` compares the number of items with ``high`` and the number of puts with ``mark``; ``get``
    compares the number of items with ``low``. The three bounds are conservative: they are set
    by the slow path, to the nearest point at which room, an item or the turn may run out.
"""
