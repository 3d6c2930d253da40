"""What a region's cluster is set up with, as manifests made of its row; nothing is asked of a cluster."""
