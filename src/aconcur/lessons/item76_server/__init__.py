"""Item 76: a line server and its clients."""
