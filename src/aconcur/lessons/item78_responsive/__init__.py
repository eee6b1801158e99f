"""Item 78: an event loop that stays responsive."""
