"""Assets of the application turbofan, one module for each stage."""
