"""Features of engines: operating regimes, windows, sequences."""
