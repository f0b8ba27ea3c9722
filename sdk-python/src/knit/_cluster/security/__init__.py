"""Kerberos: the system's GSSAPI, tickets, and what their failures mean."""
