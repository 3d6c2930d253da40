"""The executor that sends each step to the cluster of its region: `region_router`, one Job an attempt."""
