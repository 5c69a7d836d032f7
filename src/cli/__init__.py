"""From words on the command line to typed options, and to exit codes."""
