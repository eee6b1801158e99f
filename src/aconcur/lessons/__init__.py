"""Six systems, each on threads or generators and on async.

A lesson is a folder: ``work.py`` (the job itself),
``original.py``, ``rebuilt.py``, sometimes ``toolkit.py``,
``lesson.toml`` (the words), ``record.json`` (the figures).
"""
