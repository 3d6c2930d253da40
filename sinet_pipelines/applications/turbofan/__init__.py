"""Turbofan: the remaining useful life of engines, from C-MAPSS or simulated telemetry to a served model."""
