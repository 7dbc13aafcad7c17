"""Servers, stand-ins and small datasets that tests share."""
