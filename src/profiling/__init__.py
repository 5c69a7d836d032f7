"""The profile of a training: bounded traces, what they say, and how fast it goes all the while."""
