"""Evaluation of models on groups that no fit used; gate.py decides about promotion."""
