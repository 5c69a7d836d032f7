"""One exported file in a clean process: started, asked, timed and ended."""
