"""The AI platform of SINet as a plain library: how each step of a model's life is done, on any worker."""
