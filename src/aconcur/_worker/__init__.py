"""What runs in a worker process.

Rule: only the standard library, and of that what starts quickly, for every worker waits for it:
not pickle, socket, signal, typing, which import ``re`` and ``enum``, but the C modules below them.
"""
