"""From pictures to their classes, by an exported file."""
