"""Manifests for the setup of a region's cluster, made from its row without access to a cluster."""
