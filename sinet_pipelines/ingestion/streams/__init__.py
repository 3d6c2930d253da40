"""Streams: messages of a broker become rows of a region's table `landed_stream`, each exactly once."""
