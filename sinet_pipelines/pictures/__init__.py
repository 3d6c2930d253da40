"""Pictures: sparklines, charts and pages, from plain numbers to bytes; what they mean is told by who draws them."""
