"""The compare stage: ranks measured runs and finds regressions. It runs no model."""
