"""Storage: Delta tables and content-addressed blobs, each written atomically."""
