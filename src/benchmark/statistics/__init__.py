"""Statistics of latency, accuracy and the distance from the baseline."""
