"""A stand-in for Colab's own package: only what the notebooks call of it (test_notebooks.py)."""
