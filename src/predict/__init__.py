"""Classification of images with an exported file."""
