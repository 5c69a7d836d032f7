"""The benchmark stage: measures exported files, each row in its own process."""
