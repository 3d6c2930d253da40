"""Validation: a table's contract applied to its rows; bad rows set aside with a reason, days judged."""
