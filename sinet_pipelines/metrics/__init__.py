"""Metrics: the measures by which models are judged, each with its paper."""
