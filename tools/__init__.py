"""Commands that are not DVC stages; `make help` lists what calls them."""
