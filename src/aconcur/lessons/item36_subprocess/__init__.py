"""Item 36: run commands, and join them by pipes."""
