"""How assets are declared, bound, recorded and shown, for every application."""
