"""Metrics of classes, one file for each."""
