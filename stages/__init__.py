"""One DVC stage per file, each run as `python -m stages.NAME` from the project's root."""
