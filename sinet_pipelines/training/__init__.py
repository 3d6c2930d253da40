"""Training: cross-validation over whole groups, fits, calibration, and stored candidates."""
