"""The way to one Application Master."""
