"""One exported file under load: the highest rate of requests at which it stays quick."""
