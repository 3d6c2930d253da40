"""Monitoring: the row account, drift of inputs, freshness of rows, and quality of predictions."""
