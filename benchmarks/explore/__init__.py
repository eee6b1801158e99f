"""Explorers of asyncio code side by side: published faults found, and schedules a second."""
