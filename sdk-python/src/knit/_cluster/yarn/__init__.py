"""YARN's REST API."""
