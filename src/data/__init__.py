"""Images and labels: one file a data set, and what they all share."""
