"""A run of the pipeline, as its user sees it: its stages while it runs, its line among the others afterwards."""
