"""Adapters: they turn the Trainer's hooks into calls of the stages."""
