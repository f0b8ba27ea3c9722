"""Kerberos, tickets and tokens, for both doors of a cluster."""
