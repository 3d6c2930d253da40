"""Quantization: the graph in which a model is served; export.py builds, merges and checks it."""
