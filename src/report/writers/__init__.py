"""The report as HTML, Markdown, cards and in TensorBoard."""
