"""Adapters from the Trainer's hooks to the stages."""
