"""From the best checkpoint to one folder a format."""
