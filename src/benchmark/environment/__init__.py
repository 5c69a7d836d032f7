"""The machine of a measurement, and other load on it during the timing."""
