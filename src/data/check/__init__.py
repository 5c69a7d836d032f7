"""The look at a data set before training."""
