"""Item 41: real parallelism through an executor."""
