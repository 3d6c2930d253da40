"""Features that every application can use: the as-of join, splits and the Feast store."""
