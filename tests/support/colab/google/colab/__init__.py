"""A stand-in for Colab's own package: what the notebooks call of it, and nothing else (test_notebooks.py)."""
