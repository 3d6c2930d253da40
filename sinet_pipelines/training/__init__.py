"""Training: cross-validation with folds of whole groups, fits, calibration and candidates."""
