"""Ingestion: sources of rows (a simulated fleet, C-MAPSS files) and the landing zones of their drops."""
