"""What the report makes of what the stages measured: kinds of errors, numbers by threshold, what would help most."""
