"""Commands in which one call to the system fails, each in its turn."""
