"""Contracts of the turbofan tables."""
