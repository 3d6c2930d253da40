"""The names of the shipped regions, with which an asset that exists once declares its region.

`inventory.yaml` can change these regions and add others, but it cannot remove them.
"""

EAST, WEST, NULL_ISLAND = "EAST", "WEST", "NULL_ISLAND"
