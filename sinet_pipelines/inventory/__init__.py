"""Inventory: regions, hardware, links, storage and clusters as rows; reads inventory.yaml."""
