"""Constants for reading a run's event log: page by page, and the newest events again."""

OVERLAP = 100  # events to read again: PostgreSQL may show an event later than one with a higher number
PAGE = 1000  # events in one read
