"""Models: one file for each family, all with the protocol of model.py."""
