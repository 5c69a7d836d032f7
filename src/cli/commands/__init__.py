"""One ``main`` a command."""
