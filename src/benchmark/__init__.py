"""Files in, measurements out: each row in a process of its own."""
