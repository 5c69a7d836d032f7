"""The contents of a report, one module a section: plain data without any layout."""
