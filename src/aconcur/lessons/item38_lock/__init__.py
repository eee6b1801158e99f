"""Item 38: locks, between threads and between tasks."""
