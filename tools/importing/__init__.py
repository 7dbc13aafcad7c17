"""How a dataset comes in: sources, archives, layouts, records."""
