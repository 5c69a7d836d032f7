"""Report on a measured run: console table, pages, cards and TensorBoard. No model is run here."""
