"""One zip file that holds all that is needed to use an exported file elsewhere."""
