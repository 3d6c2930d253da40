"""Placement: what a step needs, where it may run, and what its Job is; from the rows of regions and hardware alone."""
