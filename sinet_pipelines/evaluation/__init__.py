"""Evaluation: a model judged on engines it never saw; gate.py says yes or no."""
