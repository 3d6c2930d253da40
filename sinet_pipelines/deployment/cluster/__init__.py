"""A region's endpoint in its cluster: what is applied, how it is applied and watched, and how it stands."""
