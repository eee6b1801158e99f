"""Item 40: the Game of Life, whose cells are coroutines."""
