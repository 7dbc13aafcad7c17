"""Datasets out, in the formats of others."""
