"""Hadoop's REST: requests, answers, and what failures mean."""
