"""Command lines: parsing into typed options, one-line errors and exit codes."""
