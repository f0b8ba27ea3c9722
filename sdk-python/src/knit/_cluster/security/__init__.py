"""Kerberos: the system's GSSAPI, tickets, delegation tokens, and what their failures mean."""
