"""Applications: one recipe each, from a source of rows to a figure."""
