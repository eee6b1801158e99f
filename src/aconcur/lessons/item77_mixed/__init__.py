"""Item 77: threads and tasks in one program."""
