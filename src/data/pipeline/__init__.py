"""From an image file to the batch that a training gets."""
