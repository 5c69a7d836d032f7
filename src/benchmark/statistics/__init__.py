"""Arrays in, figures out: latency, accuracy, distance from the baseline."""
