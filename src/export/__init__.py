"""Exports the best checkpoint: one folder a format, and a manifest."""
