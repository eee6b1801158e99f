"""What runs in a worker process.

Rule: only the standard library, and of that what starts quickly. Each worker waits for it: so none
of pickle, socket, signal and typing, which import ``re`` and ``enum``, but the C modules below them.
"""
