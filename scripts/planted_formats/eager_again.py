"""The files of eager under another name: no comparison may find a difference."""

from src.formats.eager import devices, load, precision, requires, runs_with, tolerance

__all__ = ["devices", "load", "precision", "requires", "runs_with", "tolerance"]
