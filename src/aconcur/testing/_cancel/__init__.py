"""The parts of aconcur.testing."""
