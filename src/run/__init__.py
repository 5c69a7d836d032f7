"""The run folder and the records of its files."""
