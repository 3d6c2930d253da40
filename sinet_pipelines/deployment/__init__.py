"""Deployment: the model server, its process or cluster, its model repository, and its clients."""
