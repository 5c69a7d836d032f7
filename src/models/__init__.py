"""Architectures, one file each, and the LightningModule that they share.

Nothing is imported here: the process that measures an exported network needs its builder only, and
not Lightning.
"""
