"""Placement: what a step needs, where it may run, and its Kubernetes Job, from the rows of regions and hardware."""
