"""Metrics: the measures of models, each with its paper."""
