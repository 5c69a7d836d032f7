"""The ``main`` function of each command."""
