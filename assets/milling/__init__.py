"""The assets of milling, one module for each stage."""
