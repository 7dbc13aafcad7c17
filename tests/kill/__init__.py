"""Trainings that are killed again and again: `make test-kill`, `make test-kill-bucket`."""
