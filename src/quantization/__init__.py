"""Make an int8 graph of an fp32 graph within an accuracy budget, by one search for all runtimes."""
