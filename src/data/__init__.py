"""Data sets of labelled images: one file each, and the loading that they share."""
