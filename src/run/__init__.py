"""The run folder, and the records in it."""
