"""The executor that runs each step in the cluster of its region: `region_router`, one Job for each attempt."""
