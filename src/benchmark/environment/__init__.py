"""The machine that was measured on, and other load on it meanwhile."""
