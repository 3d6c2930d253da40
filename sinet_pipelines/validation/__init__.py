"""Validation: checks rows by their table's contract, sets bad rows aside with a reason, and passes or fails days."""
