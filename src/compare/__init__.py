"""Several measured runs side by side: which to ship, and what became worse. It runs no model."""
