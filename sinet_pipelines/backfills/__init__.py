"""Backfills: what one will take, learnt from past runs; how to split it; a journal that survives a kill."""
