"""A region's endpoint in its cluster: its objects, their rollout, its state, and predictions from it."""
