"""The GPU kit: see ``scripts/check_gpu --help``."""
