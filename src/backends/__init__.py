"""One room a runtime: how its files are written, opened, called and profiled."""
