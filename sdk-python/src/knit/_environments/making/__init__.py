"""Environments made by conda, from the names of packages."""
