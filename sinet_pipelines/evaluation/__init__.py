"""Evaluation of models on groups that were not used in training; gate.py decides."""
