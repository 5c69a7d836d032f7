"""Sections of a report, one module each: plain data without layout."""
