"""Measurements in, table and TensorBoard out. It never runs a model."""
