"""Lightship: train an image classifier and know what every deployable file of it costs."""
