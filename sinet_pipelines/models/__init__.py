"""Models: one file for each family, or for several baselines; all satisfy the protocols of model.py."""
