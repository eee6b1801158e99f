"""Faults that are planted in the sources on purpose: see __main__."""
