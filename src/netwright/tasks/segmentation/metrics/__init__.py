"""Metrics of label maps, one file for each."""
