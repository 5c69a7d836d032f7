"""The operating system: files, processes, signals, the processor, the terminal."""
