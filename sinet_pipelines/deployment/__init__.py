"""Deployment: the model server, its process, and the client that asks it."""
