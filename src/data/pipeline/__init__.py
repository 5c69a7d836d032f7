"""Steps between an image file and a batch."""
