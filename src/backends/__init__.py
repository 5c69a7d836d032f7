"""Backends, one package a runtime: files are written, opened, called and profiled."""
