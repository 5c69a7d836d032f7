"""Worker processes: each loads one exported file, and answers and times requests."""
