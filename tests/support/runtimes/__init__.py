"""Runtimes that people use the exports with, each in an environment of its own: NAME.txt has its packages.

The programs beside are run there, by that environment's Python.
"""
