"""Quantization: the graph a model is served as; export.py builds, merges and checks it."""
