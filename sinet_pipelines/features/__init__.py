"""Features: validated telemetry to one row per engine and cycle; windows, regimes, the store."""
