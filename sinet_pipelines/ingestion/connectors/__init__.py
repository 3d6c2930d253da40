"""Connectors: rows of an application from files, object stores, databases and web servers, each exactly once."""
