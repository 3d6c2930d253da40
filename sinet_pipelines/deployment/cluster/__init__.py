"""A region's endpoint in its cluster: its manifests, how they are applied and watched, and its state."""
