"""Tickets and tokens, for both doors of a cluster."""
