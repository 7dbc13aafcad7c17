"""Runtimes that people use the exports with, each in an environment of its own: its packages, and what it detects."""
