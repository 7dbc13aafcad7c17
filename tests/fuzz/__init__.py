"""Damaged input for every reader, for as long as there is time: `make test-fuzz`."""
