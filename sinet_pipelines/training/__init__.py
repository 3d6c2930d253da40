"""Training: training sets with labels from events, engine-wise folds, fits."""
