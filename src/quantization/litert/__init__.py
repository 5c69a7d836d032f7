"""Static int8 for LiteRT by the AI Edge Quantizer, searched within the accuracy budget."""
