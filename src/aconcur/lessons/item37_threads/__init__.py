"""Item 37: threads for calls that wait, not for sums."""
