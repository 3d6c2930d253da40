"""Failure prediction for milling machines: from process records, AI4I 2020 or simulated, to a probability."""
