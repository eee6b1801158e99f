"""Item 39: workers that are joined by queues."""
