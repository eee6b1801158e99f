"""Where a pipeline's items come from: ``source`` in the event loop, ``thread`` beside it."""
