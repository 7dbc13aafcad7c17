"""The drawn sample dataset; nobody else enters."""
