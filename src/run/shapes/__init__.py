"""The shapes of the files that others build on, schema version 1."""
