"""Commands that are no DVC stage; `make help` lists what calls them."""
