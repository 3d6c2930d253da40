"""The default inventory, as tests read it: without an inventory file and without the environment."""

from sinet_pipelines.inventory.regions import read_inventory

SHIPPED = read_inventory(None)
REGIONS = SHIPPED.regions
NAMES = SHIPPED.names
EAST, WEST, NULL_ISLAND = REGIONS
HARDWARE = SHIPPED.hardware
get_region, get_hardware = SHIPPED.region, SHIPPED.kind
