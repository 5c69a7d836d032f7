"""Quantization of an fp32 graph to int8 within an accuracy budget: one search for all runtimes."""
