"""Deployment: the model server, its process, and its client."""
