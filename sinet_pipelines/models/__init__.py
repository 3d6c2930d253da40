"""Models: one file a family, all behind the protocol in model.py."""
