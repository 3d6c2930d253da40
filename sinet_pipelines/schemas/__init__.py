"""Contracts: one for each table, with its columns, units, bounds, keys and data class."""
