"""Contracts: one a table, with its columns, units, bounds, keys and data class."""
