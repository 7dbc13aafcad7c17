"""The tests, in folders that mirror the code; `support` holds servers, stand-ins and small datasets."""
