"""Ingestion: sources of rows (a simulated fleet, C-MAPSS files) and the landing zones they drop them in."""
