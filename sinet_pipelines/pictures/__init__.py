"""Pictures: sparklines, charts and pages, from plain numbers to bytes; callers add titles and texts."""
