"""From an fp32 graph to an int8 graph within a budget of accuracy."""
