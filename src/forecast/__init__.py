"""The cost of networks before they are trained: size, latency, memory and time of training."""
