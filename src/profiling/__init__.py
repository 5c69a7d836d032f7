"""Profile of a training: traces of bounded size, their summaries, and throughput."""
