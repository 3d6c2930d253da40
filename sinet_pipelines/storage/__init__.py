"""Storage: Delta tables and content-addressed blobs, each written whole or not at all."""
