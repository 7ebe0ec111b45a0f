"""Collects the content of a report from a run folder."""
